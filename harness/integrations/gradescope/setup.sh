#!/usr/bin/env bash
# Builds Gradescope's image: a C linker, Rust for all users, the grader, and the labs' dependencies, so
# that no submission pays for them. Runs once, as root, with a network.
set -euo pipefail

source=${AUTOGRADER_ROOT:-/autograder}/source
# Submissions are compiled as another user: the toolchain must not lie in root's own folder.
export RUSTUP_HOME=${RUSTUP_HOME:-/usr/local/rustup} CARGO_HOME=${CARGO_HOME:-/usr/local/cargo}
export PATH=$CARGO_HOME/bin:$PATH

apt-get update
apt-get install --yes --no-install-recommends ca-certificates curl gcc libc6-dev
if ! command -v cargo; then
    curl --proto '=https' --tlsv1.2 --silent --show-error --fail https://sh.rustup.rs |
        sh -s -- -y --profile minimal --no-modify-path
fi

cd "$source/course"
cargo fetch --locked
cargo build --release --locked --package harness
# The first grading compiles the dependencies. The lab as handed out will do: it is graded, with few points.
# Where that fails every submission would, and better the instructor hears of it now.
lab=$(cat "$source/lab")
first=$(mktemp -d)
target/release/harness grade "labs/$lab" --one --out "$first" --lab "$lab"
rm -r "$first"
chmod -R o-rwx "$source/grade-one" "$source/lab"
