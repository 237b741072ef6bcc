# Where every test can run; what cannot is a failure here, not a skip.
# docker build -f docker/test.Dockerfile -t launcher-test .
# docker run --rm --privileged --cgroupns=private launcher-test
FROM debian:bookworm
RUN apt-get update && apt-get install -y --no-install-recommends make ca-certificates git && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY .ci/install.sh .ci/
RUN .ci/install.sh build rust lint cross-aarch64 test vm
# install.sh fetched a foreign musl into target/, which .dockerignore keeps from being overwritten
COPY . .
RUN make all-builds
ENV LAUNCHER_TESTS_MUST_RUN=all
CMD [".ci/run"]
