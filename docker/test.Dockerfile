# Where every test can run, on a machine with the memory controller on cgroup v1; what cannot is a failure here, not a
# skip. On a machine that has cgroup v2 alone, run `make test` in it instead of .ci/run: the tests of v1 are skipped
# then, and those of v2 run in a virtual machine in any case.
# docker build -f docker/test.Dockerfile -t launcher-test .
# docker run --rm --privileged --cgroupns=private launcher-test
FROM debian:bookworm
RUN apt-get update && apt-get install -y --no-install-recommends make ca-certificates git && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY .ci/install.sh .ci/
RUN .ci/install.sh build rust lint cross-aarch64 cross-armv7 cross-riscv64 test vm engines
# install.sh fetched a foreign musl into target/, which .dockerignore keeps from being overwritten
COPY . .
RUN make all-builds
CMD [".ci/run"]
