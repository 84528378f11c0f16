package tree

import (
	"fmt"

	"github.com/goccy/go-yaml/token"
)

// The YAML library needs time and memory that grow with the square of these numbers, so they are limited before parsing.
const (
	maxDepth    = 100     // levels of nested lists and mappings
	maxKeys     = 10_000  // in all mappings together
	maxItems    = 20_000  // in all block-style lists together
	maxBrackets = 100_000 // opening brackets and braces
)

// checkSize returns a problem if a document is nested too deeply or is too large; otherwise nil.
func checkSize(tokens token.Tokens, name string, l lines) *Problem {
	var (
		flow        int   // the number of open brackets
		columns     []int // the columns of the open lists and mappings in block style
		keys, items int
		before      *token.Token
	)
	for _, t := range tokens {
		begins := 0 // the column, if a block-style list or mapping may begin at t
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow = max(flow-1, 0)
		case token.SequenceEntryType:
			items++
			begins = t.Position.Column
		case token.MappingKeyType:
			keys++
			begins = t.Position.Column
		case token.MappingValueType:
			keys++
			if before != nil {
				begins = before.Position.Column
			}
		}
		if flow == 0 && begins > 0 {
			for len(columns) > 0 && columns[len(columns)-1] >= begins {
				columns = columns[:len(columns)-1]
			}
			columns = append(columns, begins)
		}
		before = t
		text := ""
		switch {
		case flow+len(columns) > maxDepth:
			text = "the nesting is too deep"
		case keys > maxKeys:
			text = fmt.Sprintf("there are more than %d keys", maxKeys)
		case items > maxItems:
			text = fmt.Sprintf("there are more than %d list items", maxItems)
		default:
			continue
		}
		return &Problem{Pos: l.place(name, t), Text: text}
	}
	return nil
}
