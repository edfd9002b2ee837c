# The operator's command in an image without a shell: docker build --tag parley .
# A service of your own uses the same form: build its binary in place of cmd/parley.
FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates tzdata && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=""
ARG COMMIT=""
ARG DATE=""
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false \
    -ldflags "-s -w -X github.com/parley-go/parley/service/command.version=$VERSION -X github.com/parley-go/parley/service/command.commit=$COMMIT -X github.com/parley-go/parley/service/command.date=$DATE" -o /parley ./cmd/parley
# The user of the image; programs look up their own name.
RUN echo 'parley:x:65532:65532:parley:/:/sbin/nologin' > /passwd && echo 'parley:x:65532:' > /group

FROM scratch
LABEL org.opencontainers.image.title="parley" \
      org.opencontainers.image.description="Relay and operator's command for a transactional outbox on RabbitMQ" \
      org.opencontainers.image.source="https://github.com/parley-go/parley" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /passwd /group /etc/
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /usr/share/zoneinfo /usr/share/zoneinfo
COPY --from=build /parley /parley
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["/parley"]
CMD ["relay"]
