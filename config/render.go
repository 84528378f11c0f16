package config

import (
	"reflect"
	"slices"
	"strings"
)

const intro = `# Configuration

Everything that ` + "`handfast serve`" + ` can be told. This page is generated from the program; ` + "`handfast config doc`" + ` prints the
same, ` + "`handfast config doc endpoints`" + ` a part of it, and [the example](handfast.example.yaml) is a file with all defaults,
as ` + "`handfast config default`" + ` prints it.

Values come from, in this order, the defaults, a YAML file (` + "`--config FILE`" + ` or ` + "`HANDFAST_CONFIG`" + `), environment variables
and flags. ` + "`handfast config check FILE`" + ` tells everything that is wrong with a file, with line and column; ` + "`handfast config show`" + `
prints what comes out of all of them.

## Values

- A key that is not in this list is an error, and so is a key that is given twice. Anchors, aliases and ` + "`<<`" + ` work.
- A duration has a unit: ` + "`250ms`, `30s`, `1h30m`" + `. So may a size: ` + "`512`, `64KiB`, `10MB`" + `.
- A network is an address or a prefix: ` + "`::1`, `10.0.0.0/8`" + `. An origin is scheme and host, and the port if it is not the usual
  one: ` + "`https://app.example.com`" + `.
- A file is relative to the directory of the file that names it; in an environment variable or a flag, to the working
  directory.
- A secret has a second key with ` + "`_file`" + ` behind its name: a file that holds it. White space around it does not count. Secrets
  are shown as ` + "`[redacted]`" + ` wherever a configuration is printed.
- Where a mapping has one key that says most, that value alone will do: ` + "`tls: off`, `compression: true`, `target: echo`" + `.

## Environment variables

The path of a key, in capitals, with ` + "`_`" + ` between its parts, behind ` + "`HANDFAST_`" + `:

| variable | key |
|---|---|
| ` + "`HANDFAST_LOG_LEVEL=debug`" + ` | ` + "`log.level`" + ` |
| ` + "`HANDFAST_LISTEN_0_ADDRESS=:8443`" + ` | ` + "`address`" + ` of the first of ` + "`listen`" + `; the number behind the last one adds another |
| ` + "`HANDFAST_AUTH_USERS_JWT_SECRET_FILE=/run/secrets/jwt`" + ` | ` + "`auth.users.jwt.secret`" + `, from a file |
| ` + "`HANDFAST_TRUSTED_PROXIES=10.0.0.0/8,::1`" + ` | a list of values |
| ` + "`HANDFAST_ENDPOINTS='[{path: /x, target: echo, auth: [users]}]'`" + ` | anything else is YAML |

One that is empty counts as not set. One that begins with ` + "`HANDFAST_`" + ` and is no key is an error, but for those that Kubernetes
and Docker set for a service that is called handfast.
`

// Markdown returns the reference, docs/config.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString(intro)
	code := func(s string) string { return "`" + s + "`" }
	for _, s := range reference() {
		heading := "\n## Keys\n"
		if s.path != "" {
			heading = "\n" + strings.Repeat("#", 3) + " `" + s.path + "`\n"
		}
		b.WriteString(heading)
		for _, text := range []string{s.text, s.more} {
			if text != "" {
				b.WriteString("\n" + wrap(text, "", 120) + "\n")
			}
		}
		if s.same != "" {
			b.WriteString("\n" + wrap("The keys are those of `"+s.same+"`.", "", 120) + "\n")
			continue
		}
		if len(s.fields) > 0 {
			b.WriteString("\n")
		}
		for _, f := range s.fields {
			line := "- **`" + f.key + "`** (" + strings.Join(facts(f, code), ", ") + "): " + comments[s.typ.Name()+"."+f.name]
			b.WriteString(strings.TrimPrefix(wrap(line, "  ", 120), "  ") + "\n")
		}
	}
	return b.String()
}

// Doc returns the reference of a key for a terminal, of what is below it too: "endpoints", "listen.tls.mode". "" is all of
// it. Brackets and stars need not be given. The second result is a key that may have been meant when there is no such one,
// and nil when there is.
func Doc(key string) (text string, instead []string) {
	var b strings.Builder
	wanted := bare(key)
	if name, below, ok := strings.Cut(strings.TrimPrefix(wanted, "auth."), "."); ok && strings.HasPrefix(wanted, "auth.") {
		if _, kind := shapeOf(reflect.TypeFor[Method]()).field(name); !kind {
			wanted = "auth." + below // the name was one of the user's
		}
	}
	for _, s := range reference() {
		if wanted == "" || covered(wanted, bare(s.path)) {
			writeSection(&b, s)
			continue
		}
		for _, f := range s.fields {
			if _, p := inner(f.typ, join(s.path, f.key)); bare(p) == wanted && shapeless(f) {
				writeField(&b, s, f, join(s.path, f.key))
			}
		}
	}
	if b.Len() > 0 {
		return strings.TrimPrefix(b.String(), "\n"), nil
	}
	last := key[strings.LastIndexByte(key, '.')+1:]
	var near []string
	for _, k := range Keys() {
		if k[strings.LastIndexByte(k, '.')+1:] == last {
			near = append(near, k)
		}
	}
	if len(near) == 0 {
		near = append(near, nearest(key, append(Keys(), bareKeys()...)))
	}
	return "", slices.DeleteFunc(near, func(s string) bool { return s == "" })
}

func bareKeys() []string {
	keys := Keys()
	for i := range keys {
		keys[i] = bare(keys[i])
	}
	return keys
}

// bare returns a path without the places of lists and maps: "auth.jwt" for "auth.*.jwt", "listen.tls" for "listen[0].tls".
func bare(path string) string {
	var parts []string
	for part := range strings.SplitSeq(path, ".") {
		part, _, _ = strings.Cut(part, "[")
		if part != "*" && part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ".")
}

// covered reports whether a path is another one or below it.
func covered(above, path string) bool {
	rest, ok := strings.CutPrefix(path, above)
	return ok && (rest == "" || rest[0] == '.')
}

// shapeless reports whether a field has no section of its own.
func shapeless(f field) bool {
	t, _ := inner(f.typ, "")
	return shapeOf(t) == nil
}

func writeSection(b *strings.Builder, s section) {
	if s.path != "" {
		b.WriteString("\n" + s.path + "\n")
	}
	for _, text := range []string{s.text, s.more} {
		if text != "" {
			b.WriteString(wrap(text, "  ", 80) + "\n")
		}
	}
	if s.same != "" {
		b.WriteString(wrap("The keys are those of "+s.same+".", "  ", 80) + "\n")
	}
	for _, f := range s.fields {
		writeField(b, s, f, f.key)
	}
}

func writeField(b *strings.Builder, s section, f field, name string) {
	plain := func(s string) string { return s }
	b.WriteString("\n  " + name + "  (" + strings.Join(facts(f, plain), ", ") + ")\n")
	b.WriteString(wrap(comments[s.typ.Name()+"."+f.name], "      ", 80) + "\n")
}

// wrap breaks a text into lines of at most width columns, each with an indent.
func wrap(text, indent string, width int) string {
	var b strings.Builder
	column := 0
	for word := range strings.FieldsSeq(text) {
		n := len([]rune(word))
		switch {
		case column == 0:
			b.WriteString(indent + word)
			column = len(indent) + n
		case column+1+n > width:
			b.WriteString("\n" + indent + word)
			column = len(indent) + n
		default:
			b.WriteString(" " + word)
			column += 1 + n
		}
	}
	return b.String()
}
