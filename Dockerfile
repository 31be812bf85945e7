# The service and nothing that built it. docker build -t conversion-capture .

FROM python:3.11-slim AS builder
RUN apt-get update \
    && apt-get install --yes --no-install-recommends make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /srv/conversion-capture
# The same step as on any machine: .venv with the hash-locked dependencies and the project.
COPY Makefile README.md LICENSE pyproject.toml requirements.lock ./
COPY app app
RUN PIP_NO_CACHE_DIR=1 make install \
    && .venv/bin/python -m compileall -q app \
    && .venv/bin/python -m pip --quiet uninstall --yes flit_core setuptools pip

FROM python:3.11-slim
RUN python -m pip --quiet uninstall --root-user-action=ignore --yes wheel setuptools pip \
    && useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin capture \
    && install -d -o capture -g capture /var/lib/conversion-capture
COPY --from=builder /srv/conversion-capture/.venv /srv/conversion-capture/.venv
COPY --from=builder /srv/conversion-capture/app /srv/conversion-capture/app
COPY alembic /srv/conversion-capture/alembic
COPY pyproject.toml LICENSE /srv/conversion-capture/

ENV PATH="/srv/conversion-capture/.venv/bin:$PATH" \
    PYTHONDONTWRITEBYTECODE=1 \
    CAPTURE_DATABASE_URL="sqlite:////var/lib/conversion-capture/conversions.db" \
    CAPTURE_FOLDER_PATH="/var/lib/conversion-capture/outbox" \
    CAPTURE_SPOOL_PATH="/var/lib/conversion-capture/spool" \
    CAPTURE_JOURNAL_PATH="/var/lib/conversion-capture/journal"
# Paths in the settings count from here, so that whatever the service writes is in the volume.
WORKDIR /var/lib/conversion-capture
VOLUME /var/lib/conversion-capture
USER capture
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/livez', timeout=2)"]
CMD ["conversion-capture", "serve", "--host", "0.0.0.0"]
