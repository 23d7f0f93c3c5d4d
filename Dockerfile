# Tollbridge without the embedded services: PostgreSQL and Valkey are elsewhere (compose.yaml has both).
# What a container does is its command: server, bridge, jobs, migrate, users, keys, verify.

FROM python:3.13-slim-trixie AS build
WORKDIR /app
COPY requirements/runtime.txt /venv/requirements.txt
RUN python -m venv /venv \
    && /venv/bin/python -m pip install --no-cache-dir --no-deps --only-binary :all: --require-hashes \
        --requirement /venv/requirements.txt \
    && /venv/bin/python -m pip uninstall --yes pip
COPY generated generated
COPY server server
COPY bridge bridge
COPY cli cli
COPY deploy/tollbridge /venv/bin/tollbridge
RUN python -m compileall -q generated server bridge cli && chmod 755 /venv/bin/tollbridge

FROM python:3.13-slim-trixie
RUN groupadd --gid 10001 tollbridge \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin tollbridge \
    && mkdir /data && chown 10001:10001 /data
COPY --from=build /venv /venv
COPY --from=build /app /app
COPY LICENSE /app/LICENSE
# Nothing is written below /app and /venv: the root file system may be read-only. /data is for the processes' locks.
ENV PATH=/venv/bin:$PATH \
    PYTHONPATH=/app:/app/generated \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TOLLBRIDGE_HEALTH_URL=http://127.0.0.1:9090/health/ready
WORKDIR /data
USER 10001:10001
EXPOSE 8080 50051 9090
STOPSIGNAL SIGTERM
# The bridge answers on its own port: give it TOLLBRIDGE_HEALTH_URL=http://127.0.0.1:8080/health/ready.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-I", "-S", "/app/cli/healthy.py"]
ENTRYPOINT ["tollbridge"]
CMD ["--help"]
