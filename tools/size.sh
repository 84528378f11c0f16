#!/usr/bin/env bash
# Prints what the binary of a release is made of, for linux/amd64 or GOOS and GOARCH: the size of the file, and what part of the
# machine code each module has. docs/size.md has the figures.
source "$(dirname "$0")/lib.sh"
export GOOS="${GOOS:-linux}" GOARCH="${GOARCH:-amd64}" CGO_ENABLED=0

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
go build -trimpath -ldflags='-s -w' -o "$dir/handfast" ./cmd/handfast
go build -trimpath -ldflags='-w' -o "$dir/symbols" ./cmd/handfast

size=$(wc -c <"$dir/handfast")
echo "$GOOS/$GOARCH: $size bytes, $(gzip -c "$dir/handfast" | wc -c) in an archive"
go list -deps -f '{{.ImportPath}} {{with .Module}}{{.Path}}{{else}}std{{end}}' ./cmd/handfast >"$dir/packages"
go tool nm -size "$dir/symbols" >"$dir/names"
awk '
	NR == FNR { module[$1] = $2; next }
	tolower($3) != "t" { next }
	{
		name = $4
		gsub(/%2e/, ".", name)
		sub(/^(type:|go:)\.?(eq|hash)?\.?/, "", name)
		sub(/[(\[].*/, "", name)
		folder = name
		if (!sub(/\/[^\/]*$/, "/", folder)) folder = ""
		rest = substr(name, length(folder) + 1)
		sub(/\..*/, "", rest)
		of = module[folder rest]
		if (of == "") of = "std"
		bytes[of] += $2
		all += $2
	}
	END { for (m in bytes) printf "%10d  %4.1f %%  %s\n", bytes[m], 100 * bytes[m] / all, m; printf "%10d         machine code of all\n", all }
' "$dir/packages" "$dir/names" | sort -rn
