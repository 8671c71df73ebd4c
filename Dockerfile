# The bridge and nothing else: the wheel is built in one stage and installed into the other,
# which holds no compiler and no pip. It runs as any user whose group is 0.
#
#   make image
#   docker run -v ./bridge.yaml:/etc/kinetica-bridge/bridge.yaml:ro \
#              -v journal:/var/lib/kinetica-bridge -p 127.0.0.1:9464:9464 kinetica-bridge

FROM python:3.13-slim AS build

# A Python that was compiled for the image brings its headers, one from a distribution does not.
RUN set -eu; \
    headers="$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h"; \
    apt-get update -qq; \
    test -e "$headers" || extra=python3-dev; \
    apt-get install -y -qq --no-install-recommends gcc libc6-dev tini ${extra:-}; \
    rm -rf /var/lib/apt/lists/*

WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY csrc csrc
COPY bridge bridge
COPY kinetica_emulator kinetica_emulator
RUN python3 -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

RUN set -eu; \
    python3 -m venv --without-pip /opt/kinetica-bridge; \
    wheel="$(ls /wheel/*.whl)"; \
    python3 -m pip --python /opt/kinetica-bridge/bin/python install --no-cache-dir \
        "${wheel}[postgres,redis,zstd]"
# The extension is optional for those who have no compiler; an image without it is a bad one.
WORKDIR /
RUN /opt/kinetica-bridge/bin/python -c "import bridge.codec._native"


FROM python:3.13-slim

# What the base brings to install with goes, wherever its Python keeps it. The folder of the journal
# is the group's as well as the user's, for clusters that choose a user at random.
RUN set -eu; \
    find /usr -type d -path '*/python3*' \
        \( -name pip -o -name 'pip-*.dist-info' -o -name ensurepip \) -prune -exec rm -rf {} +; \
    rm -rf /usr/local/bin/pip* /usr/bin/pip*; \
    if python3 -m pip --version 2>/dev/null; then exit 1; fi; \
    useradd --uid 10001 --gid 0 --no-create-home --home-dir /var/lib/kinetica-bridge \
        --shell /usr/sbin/nologin kinetica-bridge; \
    install -d -o 10001 -g 0 -m 0770 /var/lib/kinetica-bridge

# Process 1 takes every signal from the first instant, and hands it on; Python would miss those
# that come before it runs.
COPY --from=build /usr/bin/tini-static /usr/bin/tini
COPY --from=build /opt/kinetica-bridge /opt/kinetica-bridge
COPY deploy/bridge.yaml /etc/kinetica-bridge/bridge.yaml

ENV PATH=/opt/kinetica-bridge/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    KINETICA_BRIDGE_CONFIG=/etc/kinetica-bridge/bridge.yaml

# By number, so that an orchestrator can see that it is not root.
USER 10001:0
WORKDIR /var/lib/kinetica-bridge
VOLUME /var/lib/kinetica-bridge
EXPOSE 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=10s --start-period=20s --retries=3 \
    CMD ["kinetica-bridge", "health"]
ENTRYPOINT ["tini", "--", "kinetica-bridge"]
CMD ["run"]

# Last, so that a new revision alone is built in no time.
ARG VERSION=latest
ARG REVISION=unknown
LABEL org.opencontainers.image.title="kinetica-bridge" \
      org.opencontainers.image.description="Streams the rows that land in Kinetica tables to Kafka, webhooks, files, PostgreSQL and Redis, and says what it could not see." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
