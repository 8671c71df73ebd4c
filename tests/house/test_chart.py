"""The Helm chart is of this version, and what it renders is what Kubernetes and the bridge accept.

As a program (`make chart`) it writes what the chart holds of other files, and what it renders.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from services.helm import CHART, KUBERNETES, Helm, HelmMissing

from bridge import __version__
from bridge.config import parse
from bridge.config.models import Config
from bridge.supervisor.changes import FIXED

DEPLOY = CHART.parents[1]
EXAMPLE = CHART / "ci" / "example-values.yaml"
EVERYTHING = CHART / "ci" / "everything-values.yaml"
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
OPERATOR = "monitoring.coreos.com/v1"
COPIES = {"alerts.yml": "alerts.yml", "dashboard.json": "grafana/kinetica-bridge.json"}
PLAIN = DEPLOY / "kubernetes.yaml"
# What only Helm's own rendering has.
OF_HELM = re.compile(
    r"^( *(helm.sh/chart|app.kubernetes.io/managed-by):|# Source:).*\n", re.MULTILINE
)
HEADER = """\
# One bridge with its journal on a volume of its own, for those who do without Helm. Made by
# `make chart` from deploy/helm/kinetica-bridge. Adapt image, names and configuration:
#   kubectl create secret generic kinetica-bridge --from-literal=password=…
#   kubectl apply -f deploy/kubernetes.yaml
#
# A StatefulSet of one: two bridges on one journal refuse each other, and two journals would
# deliver everything twice. A changed ConfigMap needs a `kubectl rollout restart`.

"""


@pytest.fixture(scope="module")
def helm() -> Helm:
    """Helm is in no Debian: a machine without one does without, CI's too where Go is too old."""
    try:
        return Helm()
    except HelmMissing as error:
        pytest.skip(str(error))


def _kinds(parts: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By kind; of several of one kind the last."""
    return {part["kind"]: part for part in parts}


def _plain(helm: Helm) -> str:
    done = helm.attempt(EXAMPLE)
    assert done.returncode == 0, done.stderr
    return HEADER + OF_HELM.sub("", done.stdout)


def _accepted(part: dict[str, Any]) -> None:
    kubernetes_validate.validate(part, KUBERNETES, strict=True)


def test_the_chart_is_of_this_version() -> None:
    """It runs the image of the code that it lies beside."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert chart["appVersion"] == __version__


@pytest.mark.parametrize(("within", "original"), COPIES.items())
def test_the_charts_copies_are_the_originals(within: str, original: str) -> None:
    """A chart reads no file beside itself; `make chart` brings alerts and dashboard over."""
    assert (CHART / "files" / within).read_text() == (DEPLOY / original).read_text()


def test_each_value_has_a_place_in_the_schema() -> None:
    """What values.yaml offers the schema knows, and nothing else."""
    jsonschema.validate(VALUES, SCHEMA)

    assert set(SCHEMA["properties"]) == {"global", *VALUES}
    assert set(SCHEMA["properties"]["config"]["properties"]) == set(Config.model_fields)
    for name in set(VALUES) - {"config"}:
        value = VALUES[name]
        if SCHEMA["properties"][name].get("additionalProperties") is False:
            assert set(SCHEMA["properties"][name]["properties"]) == set(value), name


@pytest.mark.parametrize(
    "part", list(yaml.safe_load_all(PLAIN.read_text())), ids=lambda part: part["kind"]
)
def test_the_kubernetes_example_is_accepted_by_the_api(part: dict[str, Any]) -> None:
    """Each object is one by the schema of its kind, without a field that nobody reads."""
    _accepted(part)


def test_the_kubernetes_example_is_the_charts_rendering(helm: Helm) -> None:
    """The example that is applied without Helm says the same; `make chart` renders it."""
    assert PLAIN.read_text() == _plain(helm)


@pytest.mark.parametrize("values", [EXAMPLE, EVERYTHING], ids=lambda path: path.stem)
def test_lint_finds_nothing(helm: Helm, values: Path) -> None:
    """Strictly: no error, no warning."""
    done = helm.run("lint", "--strict", str(CHART), "--values", str(values))

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("values", [EXAMPLE, EVERYTHING], ids=lambda path: path.stem)
def test_what_is_rendered_is_accepted_by_the_api(helm: Helm, values: Path) -> None:
    """Every object of Kubernetes' own is one by the schema of its kind."""
    parts = [part for part in helm.render(values) if part["apiVersion"] != OPERATOR]

    assert {part["kind"] for part in parts} >= {"StatefulSet", "Service", "ConfigMap"}
    for part in parts:
        _accepted(part)


def test_everything_that_can_be_switched_on_is_rendered(helm: Helm) -> None:
    """Monitor, rules, dashboard and budget, with the labels that others select by."""
    parts = helm.render(EVERYTHING)
    kinds = _kinds(parts)
    alerts = yaml.safe_load((DEPLOY / "alerts.yml").read_text())
    name = {"app.kubernetes.io/name": "rows", "app.kubernetes.io/instance": "kinetica-bridge"}
    endpoint = kinds["ServiceMonitor"]["spec"]["endpoints"][0]

    assert kinds["PrometheusRule"]["spec"] == alerts
    assert kinds["PrometheusRule"]["metadata"]["labels"]["release"] == "prometheus"
    assert kinds["ServiceMonitor"]["spec"]["selector"]["matchLabels"] == name
    assert name.items() <= kinds["Service"]["metadata"]["labels"].items()
    assert endpoint["port"] == kinds["Service"]["spec"]["ports"][0]["name"]
    assert endpoint["relabelings"][0] == {"targetLabel": "job", "replacement": "kinetica-bridge"}
    assert kinds["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 0
    dashboards = [part for part in parts if part["metadata"]["name"].endswith("-dashboard")]
    (board,) = dashboards[0]["data"].values()
    assert json.loads(board) == json.loads((DEPLOY / "grafana/kinetica-bridge.json").read_text())


def test_a_configuration_goes_through_the_chart_unchanged(helm: Helm) -> None:
    """Numbers, durations, variables and the word off mean what they mean in bridge.yaml."""
    kinds = _kinds([part for part in helm.render(EVERYTHING)
                    if not part["metadata"]["name"].endswith("-dashboard")])  # fmt: skip
    config = parse(kinds["ConfigMap"]["data"]["bridge.yaml"], "bridge.yaml", {})
    pod = kinds["StatefulSet"]["spec"]["template"]["spec"]

    assert config.kinetica.urls == ("http://kinetica:9191",)
    assert config.kinetica.failback is None
    assert config.tables[0].catch_up == "off"
    assert config.tables[1].catch_up.whole_table == 10_000_000
    assert str(config.journal.path) == "/var/lib/kinetica-bridge/journal"
    assert config.shutdown.grace == 60 < pod["terminationGracePeriodSeconds"]
    assert pod["containers"][0]["ports"][0]["containerPort"] == config.admin.port == 9500


def test_what_a_reload_does_not_reach_is_a_new_pod(helm: Helm) -> None:
    """The rest of the configuration is taken over by the pod that runs."""

    def digest(*settings: str) -> str:
        pod = _kinds(helm.render(EXAMPLE, settings=settings))["StatefulSet"]["spec"]["template"]
        assert pod["spec"]["containers"][0]["args"] == ["run", "--watch"]
        return pod["metadata"]["annotations"]["checksum/config"]

    for key in FIXED:
        assert digest(f"config.{key}=other:1") != digest(), key
    reached = ["log.level=debug", "journal.max_size=1GiB", "kinetica.password_file=/x"]
    for setting in [*reached, "kinetica.tls.verify=false", "shutdown.grace=9s"]:
        assert digest(f"config.{setting}") == digest(), setting
    assert digest("service.port=80") == digest()


def test_an_admin_endpoint_of_https_is_asked_by_https(helm: Helm) -> None:
    """By probes and Prometheus, without a setting more."""
    files = "config.admin.tls.cert_file=/run/secrets/kinetica-bridge/tls.crt"
    kinds = _kinds(helm.render(EXAMPLE, settings=[files, "serviceMonitor.enabled=true"]))
    container = kinds["StatefulSet"]["spec"]["template"]["spec"]["containers"][0]

    for probe in ("livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["scheme"] == "HTTPS"
    assert kinds["ServiceMonitor"]["spec"]["endpoints"][0]["scheme"] == "https"


def test_an_openshift_chooses_the_user(helm: Helm) -> None:
    """Users and groups of ours would be refused there; that it is no root stays asked for."""
    parts = helm.render(EXAMPLE, more=["--api-versions", "security.openshift.io/v1"])
    context = _kinds(parts)["StatefulSet"]["spec"]["template"]["spec"]["securityContext"]

    assert context["runAsNonRoot"] is True
    assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(context)


def test_a_journal_without_a_claim_is_a_choice(helm: Helm) -> None:
    """A claim that is there already, or none at all, takes the place of the template."""
    for setting, wanted in (
        ("persistence.existingClaim=mine", {"persistentVolumeClaim": {"claimName": "mine"}}),
        ("persistence.enabled=false", {"emptyDir": {}}),
    ):
        part = _kinds(helm.render(EXAMPLE, settings=[setting]))["StatefulSet"]
        _accepted(part)
        volumes = part["spec"]["template"]["spec"]["volumes"]

        assert "volumeClaimTemplates" not in part["spec"]
        assert {"name": "journal", **wanted} in volumes


def test_a_configuration_of_ones_own_is_left_alone(helm: Helm) -> None:
    """With existingConfigMap the chart makes none, asks for none and restarts for none."""
    parts = helm.render(settings=["existingConfigMap=mine"])
    pod = _kinds(parts)["StatefulSet"]["spec"]["template"]

    assert "ConfigMap" not in _kinds(parts)
    assert "checksum/config" not in pod["metadata"]["annotations"]
    assert {"name": "config", "configMap": {"name": "mine"}} in pod["spec"]["volumes"]


def test_what_a_bridge_cannot_do_without_is_asked_for(helm: Helm) -> None:
    """The values as they are name no cluster and no table; the first one missing is named."""
    done = helm.attempt(settings=["config.kinetica.urls={http://kinetica:9191}"])

    assert done.returncode != 0
    assert "config.tables is not given" in done.stderr


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("config.tables=null", "'/config/tables': got null, want array"),
        ("config.admin.listen=127.0.0.1:9464", "no probe reaches it there"),
        ("config.shutdown.grace=30s", "would be killed within config.shutdown.grace"),
        ("config.shutdown.grace=1m", "would be killed within config.shutdown.grace"),
        ("terminationGracePeriodSeconds=8", "would be killed within config.shutdown.grace"),
        ("replicas=2", "additional properties 'replicas' not allowed"),
        ("config.sink.type=kafka", "additional properties 'sink' not allowed"),
        ("persistence.accessModes={ReadWriteMany}", "accessModes"),
        ("service.port=0", "minimum"),
    ],
)
def test_what_cannot_work_is_refused_before_it_is_installed(
    helm: Helm, setting: str, said: str
) -> None:
    """The message says what, and what is wrong with it."""
    done = helm.attempt(EXAMPLE, settings=[setting])

    assert done.returncode != 0
    assert said in done.stderr


if __name__ == "__main__":
    for within, original in COPIES.items():
        (CHART / "files" / within).write_text((DEPLOY / original).read_text())
    PLAIN.write_text(_plain(Helm()))
