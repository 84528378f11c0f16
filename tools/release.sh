#!/usr/bin/env bash
# Tags a release: websocket/vX.Y.Z, then a commit in which the root requires that, as vX.Y.Z. Nothing is pushed.
# usage: tools/release.sh vX.Y.Z
source "$(dirname "$0")/lib.sh"

fail() {
	echo "release: $*" >&2
	exit 1
}

version=${1:-}
[[ $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.]+)?$ ]] || fail "usage: tools/release.sh vX.Y.Z"
[ -z "$(git status --porcelain)" ] || fail "the tree has changes: commit them first"
grep -qE "^## \[${version#v}\] - [0-9]{4}-[0-9]{2}-[0-9]{2}$" CHANGELOG.md || fail "CHANGELOG.md has no section \"## [${version#v}] - YYYY-MM-DD\""
for module in "${MODULES[@]}"; do
	! go mod edit -json "$module/go.mod" | grep -q '"Replace": \[' || fail "$module/go.mod has a replace: only go.work may"
done
cmp -s LICENSE websocket/LICENSE || fail "LICENSE and websocket/LICENSE differ"
for tag in "websocket/$version" "$version"; do
	! git rev-parse -q --verify "refs/tags/$tag" >/dev/null || fail "the tag $tag exists"
done

# What the published library will have as its checksum, computed from the tree.
proxy=$(mktemp -d)
trap 'rm -rf "$proxy"' EXIT
GOFLAGS='' go run ./internal/treeproxy -version "$version" "$proxy/files"
sums=$(cd "$proxy" && GOFLAGS=-modcacherw GOWORK=off GOMODCACHE="$proxy/cache" GOPROXY="file://$proxy/files" GONOSUMDB="$PRODUCT/*" \
	go mod download -json "$PRODUCT/websocket@$version" | sed -n 's/^\t"\(Sum\|GoModSum\)": "\(.*\)",*$/\1 \2/p' |
	sed "s#^Sum #$PRODUCT/websocket $version #; s#^GoModSum #$PRODUCT/websocket $version/go.mod #")
[ "$(wc -l <<<"$sums")" = 2 ] || fail "no checksum of the library: $sums"

git tag -a "websocket/$version" -m "websocket $version"

sed -i -E "s#^(\t$PRODUCT(/websocket)?) v[^ ]+#\1 $version#" go.work go.mod bench/go.mod e2e/acme/go.mod e2e/gosdk/go.mod
LC_ALL=C awk -v path="$PRODUCT/websocket" -v sums="$sums" '
	$1 == path { next }
	!done && $1 > path { print sums; done = 1 }
	{ print }
	END { if (!done) print sums }' go.sum >"$proxy/go.sum"
cp "$proxy/go.sum" go.sum
git commit -qam "release: require websocket $version"
git tag -a "$version" -m "handfast $version"

echo "tagged websocket/$version and $version; to publish them: git push --atomic origin HEAD websocket/$version $version"
