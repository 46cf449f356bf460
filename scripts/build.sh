# What scripts/demo, scripts/test and .ci/run share. Sourced, from the root of the repository.

# Says on one line what comes next, with the seconds since the script began.
say() {
  printf '\n[%3d s] %s\n' "$SECONDS" "$*"
}

# build_preset PRESET [TARGET]: configures and builds build/PRESET.
build_preset() {
  local preset=$1 target=${2:-all}
  # A compiler cache is used where there is one. Only the first configuration of a folder asks.
  if command -v ccache >/dev/null && [ -z "${CMAKE_CXX_COMPILER_LAUNCHER+set}" ]; then
    export CMAKE_CXX_COMPILER_LAUNCHER=ccache
  fi
  say "Configuring the $preset preset"
  mkdir -p build
  cmake --preset "$preset" >"build/$preset.log" 2>&1 || {
    cat "build/$preset.log" >&2
    return 1
  }
  say "Building $target"
  cmake --build --preset "$preset" --target "$target"
}
