#!/bin/sh
# Builds the members of the soak from changed sources, one patch of this folder after the other, and shows that a soak
# finds each of them out. The broker, the faults and the checker are of the sources as they are.
#
# A patch begins with what it breaks, and with "Found by:" and the figure of the SOAK line that must not be 0; "Flags:"
# are further ones for its soak. Arguments are the names of the patches to try; none means all.
set -eu

here=$(dirname "$0")
root=$(cd "$here" && git rev-parse --show-toplevel)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

cd "$root"
[ $# -gt 0 ] || set -- $(ls "$here" | sed -n 's/\.patch$//p')
go build -o "$work/soak" ./runtime/runtimetest/soak

unseen=0
for name in "$@"; do
	patch="$root/runtime/runtimetest/soak/broken/$name.patch"
	figure=$(sed -n 's/^Found by: //p' "$patch")
	flags=$(sed -n 's/^Flags: //p' "$patch")
	echo "== $name: $(head -n 1 "$patch")"

	# The files as they lie in the work tree, committed or not.
	rm -rf "$work/tree" && mkdir "$work/tree"
	git ls-files -co --exclude-standard -z | xargs -0 sh -c 'for f; do [ ! -f "$f" ] || echo "$f"; done' sh |
		tar -cf - -T - | tar -xf - -C "$work/tree"
	(cd "$work/tree" && GIT_CEILING_DIRECTORIES="$work" git apply "$patch" && go build -o "$work/member" ./runtime/runtimetest/soak)

	# 3 says that too few faults fell on work that was under way: such a soak shows nothing, and is made again.
	for try in 1 2 3; do
		code=0
		eval TMPDIR="$work" "$work/soak" -member "$work/member" -events 30000 -load 75s -duration 3m "$flags" >"$work/output" 2>&1 || code=$?
		[ "$code" -eq 3 ] || break
		echo "try $try was void: $(grep '^SOAK ' "$work/output" || true)"
	done
	grep -E "^ *[0-9]+s  $figure: " "$work/output" | head -n 2 || true
	line=$(grep '^SOAK ' "$work/output" || true)
	echo "${line:-no SOAK line; the end was: $(tail -n 1 "$work/output")}"
	found=$(echo "$line" | sed -n "s/.* $figure=\([0-9]*\) .*/\1/p")
	if [ "$code" -eq 1 ] && [ "${found:-0}" -gt 0 ]; then
		echo "== $name was found out by $figure=$found"
	else
		echo "== $name WAS NOT FOUND OUT: exit code $code, $figure=${found:-?}"
		unseen=$((unseen + 1))
	fi
done
[ "$unseen" -eq 0 ]
