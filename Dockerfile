# The server: `ingest-api`, and `cadastre` for keys, migrations and looking at settings.
# Built from Debian packages and crates only. docs/operations.md tells how it is run.

FROM rust:1.95.0-slim-bookworm AS build
# The toolchain of the image, without the components that only our checks need.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev make \
    && rm -rf /var/lib/apt/lists/*
COPY Cargo.toml Cargo.lock rust-toolchain.toml ./
COPY crates crates
COPY migrations migrations
RUN cargo build --locked --profile dist -p ingest-api -p cadastre

FROM debian:bookworm-slim
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 cadastre \
    && useradd --system --uid 10001 --gid cadastre --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin cadastre
COPY --from=build /build/target/dist/ingest-api /build/target/dist/cadastre /usr/local/bin/
# By number: what runs it can tell that it is not root.
USER 10001:10001
ENV CADASTRE_LISTEN=0.0.0.0:8080 CADASTRE_LOG_FORMAT=json
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /health/ready HTTP/1.0\\r\\n\\r\\n' >&3 && grep -q '200 OK' <&3"]
CMD ["ingest-api"]
