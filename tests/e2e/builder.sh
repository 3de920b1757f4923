# A build action that wants a layer: asks again until it has it whole, and says how each try ended. For each line of its
# input it asks for a manifest meanwhile. Usage: builder.sh URL CURL…, the layer's URL and how to ask.
url=$1
shift
(
    tries=0
    until "$@" --max-time 40 -o /dev/null -w '%{exitcode} %{size_download}\n' "$url"; do
        tries=$((tries + 1))
        [ "$tries" -lt 20 ] || exit 1
        sleep 0.2
    done
) </dev/null 2>/dev/null &
layer=$!
while read -r _; do
    "$@" -o /dev/null "${url%/blobs/*}/manifests/large" </dev/null >/dev/null 2>&1 &
done
wait "$layer"
