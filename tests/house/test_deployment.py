"""What is shipped to run the bridge with fits the bridge, and the pieces fit each other."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge import __version__
from bridge.config import parse
from bridge.config.models import Config

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
VARIABLE = re.compile(r"\$\{([A-Z_]+)")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def _image_config(**environment: str) -> Config:
    path = DEPLOY / "bridge.yaml"
    return parse(path.read_text(), str(path), environment)


def test_the_image_starts_without_any_environment() -> None:
    """Every variable of the image's configuration has a default."""
    config = _image_config()

    assert config.kinetica.urls == ("http://kinetica:9191",)
    assert config.admin.listen == "0.0.0.0:9464"


def test_the_environment_reaches_the_images_configuration() -> None:
    """A ring, a user and a table can be given without another file."""
    config = _image_config(
        KINETICA_URL="http://a:9191,http://b:9191",
        KINETICA_USER="reader",
        KINETICA_PASSWORD="it's: ${secret}",
        KINETICA_TABLE="ki_home.orders",
    )

    assert config.kinetica.urls == ("http://a:9191", "http://b:9191")
    assert config.kinetica.password is not None
    assert config.kinetica.password.get_secret_value() == "it's: ${secret}"
    assert config.tables[0].name == "ki_home.orders"


def test_compose_hands_over_every_variable_of_the_configuration(compose: dict[str, Any]) -> None:
    """A variable set for `docker compose` is never lost on the way into the container."""
    wanted = set(VARIABLE.findall((DEPLOY / "bridge.yaml").read_text()))

    assert set(compose["services"]["bridge"]["environment"]) == wanted


def test_compose_mounts_the_folder_of_the_images_configuration(compose: dict[str, Any]) -> None:
    """A folder shows what an editor saved as a new file; the image looks for it in there."""
    image = (ROOT / "Dockerfile").read_text()
    named = re.search(r"KINETICA_BRIDGE_CONFIG=(\S+)/bridge.yaml$", image, re.MULTILINE)

    assert named is not None
    assert f"./deploy:{named[1]}:ro" in compose["services"]["bridge"]["volumes"]


def test_compose_publishes_to_this_machine_alone(compose: dict[str, Any]) -> None:
    """No port of any service is open to the network."""
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]

    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_compose_gives_the_bridge_longer_than_its_own_grace(compose: dict[str, Any]) -> None:
    """The engine's patience outlasts the drain, else the drain would be cut short."""
    patience = float(compose["services"]["bridge"]["stop_grace_period"].removesuffix("s"))

    assert patience > _image_config().shutdown.grace


def test_every_service_of_compose_says_how_it_is(compose: dict[str, Any]) -> None:
    """Each service has a health check."""
    services = compose["services"]

    assert [name for name, service in services.items() if "healthcheck" not in service] == []


def test_the_shipped_environment_selects_a_profile_that_exists(compose: dict[str, Any]) -> None:
    """`docker compose up` alone starts something to read from."""
    selected = re.search(r"^COMPOSE_PROFILES=(\w+)$", (ROOT / ".env").read_text(), re.MULTILINE)
    profiles = {p for service in compose["services"].values() for p in service.get("profiles", [])}

    assert selected is not None
    assert selected[1] in profiles


def test_alerts_name_metrics_that_exist() -> None:
    """No alert waits for a metric that the bridge does not have."""
    source = (ROOT / "bridge" / "admin" / "metrics.py").read_text()
    named = set(re.findall(r"kinetica_bridge_(\w+)", (DEPLOY / "alerts.yml").read_text()))
    known = set(re.findall(r'"([a-z_]+)"', source))

    assert named
    assert {name for name in named if name.removesuffix("_total") not in known} == set()


def test_each_alert_fires_on_what_it_is_for() -> None:
    """The cases of deploy/alerts_test.yml hold, as Prometheus' own tool finds."""
    promtool = shutil.which("promtool")
    if promtool is None:
        reason = "no promtool: install Prometheus (apt install prometheus)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)

    ran = subprocess.run(
        [promtool, "test", "rules", str(DEPLOY / "alerts_test.yml")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_image_says_what_it_is_and_holds_no_pip() -> None:
    """Labels with version and revision, a user of group 0 by number, and an init before ours."""
    last = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2]

    for label in ("title", "description", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{label}=" in last, label
    assert "\nUSER 10001:0\n" in last
    assert '\nENTRYPOINT ["tini", "--", "kinetica-bridge"]\n' in last
    assert "if python3 -m pip --version 2>/dev/null; then exit 1; fi" in last


def test_the_project_is_described_in_the_same_words_everywhere() -> None:
    """The package, the image and the chart name the same destinations."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    chart = yaml.safe_load((DEPLOY / "helm" / "kinetica-bridge" / "Chart.yaml").read_text())
    image = re.search(r'image\.description="([^"]+)"', (ROOT / "Dockerfile").read_text())

    assert image is not None
    assert image[1] == chart["description"] == project["description"]


@pytest.mark.parametrize(("engine", "asked"), [("docker", False), ("/usr/bin/podman", True)])
def test_an_image_that_podman_builds_keeps_its_health_check(engine: str, asked: bool) -> None:
    """It is asked for Docker's format, which has one; docker knows no such option."""
    ran = subprocess.run(
        ["make", "-n", "image", f"ENGINE={engine}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert f"{engine} build" in ran.stdout
    assert ("--format docker" in ran.stdout) is asked


def test_the_kubernetes_example_is_a_configuration_for_this_version(tmp_path: Path) -> None:
    """Its configuration is accepted, its image is ours, its patience outlasts the drain."""
    text = (DEPLOY / "kubernetes.yaml").read_text()
    parts = {part["kind"]: part for part in yaml.safe_load_all(text)}
    secret = tmp_path / "password"
    secret.write_text("secret\n")
    pod = parts["StatefulSet"]["spec"]["template"]["spec"]

    written = parts["ConfigMap"]["data"]["bridge.yaml"]
    config = parse(written.replace("/run/secrets/kinetica-bridge/password", str(secret)))

    assert pod["containers"][0]["image"] == f"kinetica-bridge:{__version__}"
    assert pod["terminationGracePeriodSeconds"] > config.shutdown.grace
    assert pod["containers"][0]["ports"][0]["containerPort"] == config.admin.port


def test_systemd_waits_longer_than_the_drain_takes() -> None:
    """TimeoutStopSec outlasts shutdown.grace, and a wrong configuration is not started again."""
    unit = (DEPLOY / "kinetica-bridge.service").read_text()
    patience = re.search(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)

    assert patience is not None
    assert float(patience[1]) > _image_config().shutdown.grace
    assert "RestartPreventExitStatus=2\n" in unit


def test_systemd_understands_the_unit_and_exposes_little(tmp_path: Path) -> None:
    """Every line is one that systemd knows, and its own measure of exposure stays below 2 of 10."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze: apt install systemd")
    unit = tmp_path / "kinetica-bridge.service"
    # Where nothing is installed there is no such program: one that is there stands for it.
    text = (DEPLOY / unit.name).read_text()
    unit.write_text(text.replace("/opt/kinetica-bridge/bin/kinetica-bridge", "/usr/bin/env"))

    for arguments in (["verify"], ["security", "--offline=true", "--threshold=20"]):
        command = [analyze, *arguments, str(unit)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)

        assert ran.returncode == 0, ran.stdout + ran.stderr
