#!/bin/sh
# Packs the GPU benchmark with all that a bare Linux machine (x64) with an NVIDIA driver lacks: Node, Dawn and the Vulkan
# loader. After `npm ci` and `npm ci --prefix benchmarks`:
#
#     sh benchmarks/gpu-bundle.sh [runs/gpu-bundle.tar.xz]
#
# On the other machine, whatever it has installed:
#
#     tar -xJf gpu-bundle.tar.xz && gpu-bundle/run [--help | --tiny | --only REGEX | ...]
#
# The results come to gpu-bundle/benchmarks/results/gpu.json.
set -eu
cd "$(dirname "$0")/.."
out=$(realpath -m "${1:-runs/gpu-bundle.tar.xz}")

fail() { echo "gpu-bundle: $1" >&2; exit 1; }
[ "$(uname -sm)" = 'Linux x86_64' ] || fail "this is $(uname -sm); the bundle is for Linux x86_64 and is made there"
[ -e node_modules/webgpu/dist/linux-x64 ] || fail "node_modules has no Dawn; run 'npm ci' first"
[ -e benchmarks/node_modules ] || fail "the engines to compare with are missing; run 'npm ci --prefix benchmarks' first"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
bundle=$folder/gpu-bundle
mkdir -p "$bundle/lib"

# This project's sources, as they are committed or changed.
git ls-files packages examples benchmarks tools package.json tsconfig.json tsconfig.base.json LICENSE |
  tar -cf - -T - | tar -xf - -C "$bundle"
changes=$(git status --porcelain --untracked-files=no)
echo "$(git rev-parse HEAD)${changes:+ modified}" > "$bundle/COMMIT"

# Packages: what the sources import, the runner of TypeScript, Dawn for this platform, and the peers that use WebGPU.
copy() { for path; do [ ! -e "$path" ] || { mkdir -p "$bundle/$(dirname "$path")"; cp -a "$path" "$bundle/$path"; }; done; }
npm ls --all --omit=dev --omit=optional --parseable 2>/dev/null | sed "s#^$PWD/##" | grep '^node_modules/' |
  while read -r path; do copy "$path"; done
copy node_modules/gpu.js node_modules/acorn node_modules/gpu-mock.js node_modules/webgl-constants node_modules/gl
copy node_modules/tsx node_modules/esbuild node_modules/@esbuild/linux-x64 node_modules/@img
copy node_modules/webgpu/package.json node_modules/webgpu/index.js node_modules/webgpu/dist/linux-x64
copy benchmarks/node_modules/@jax-js
for name in core backend-cpu backend-webgpu; do
  copy "benchmarks/node_modules/@tensorflow/tfjs-$name/package.json" "benchmarks/node_modules/@tensorflow/tfjs-$name/dist"
done
copy benchmarks/node_modules/seedrandom benchmarks/node_modules/@webgpu benchmarks/node_modules/long
rm -rf "$bundle"/node_modules/@img/*musl*
find "$bundle" -name '*.map' -delete

# Node itself, and the Vulkan loader that the test suite's packages carry.
cp "$(node -p process.execPath)" "$bundle/lib/node"
npx tsx --conditions=@actionclip/source -e "
  import { unpackSoftwareWebGPU } from './tools/software-webgpu.ts';
  import { copyFileSync } from 'node:fs';
  copyFileSync(unpackSoftwareWebGPU().vulkanLoader, '$bundle/lib/libvulkan.so.1');"

cat > "$bundle/run" <<'RUN'
#!/bin/sh
# Runs the GPU benchmark with the Node, Dawn and Vulkan loader beside this file.
set -eu
cd "$(dirname "$0")"
export LD_LIBRARY_PATH="$PWD/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
if [ -z "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ]; then
  for file in /etc/vulkan/icd.d/*.json /usr/share/vulkan/icd.d/*.json /usr/local/nvidia/share/vulkan/icd.d/*.json; do
    case $file in *nvidia*) [ ! -e "$file" ] || export VK_DRIVER_FILES="$file" ;; esac
  done
  # A driver without its manifest: one is written that names its library, which the loader finds by itself.
  if [ -z "${VK_DRIVER_FILES:-}" ]; then
    for library in libGLX_nvidia.so.0 libEGL_nvidia.so.0; do
      ldconfig -p 2>/dev/null | grep -q "$library" || continue
      printf '{"file_format_version":"1.0.0","ICD":{"library_path":"%s","api_version":"1.3.0"}}\n' "$library" > lib/nvidia_icd.json
      export VK_DRIVER_FILES="$PWD/lib/nvidia_icd.json"
      break
    done
  fi
fi
exec ./lib/node --conditions=@actionclip/source --import ./node_modules/tsx/dist/esm/index.mjs benchmarks/gpu.ts "$@"
RUN
chmod +x "$bundle/run"

mkdir -p "$(dirname "$out")"
tar -cf - -C "$folder" gpu-bundle | xz -T0 -6 > "$out.unfinished"
mv "$out.unfinished" "$out"
echo "$out: $(du -h "$out" | cut -f1)"
