package tree

import (
	"fmt"

	"github.com/goccy/go-yaml/token"
)

// The YAML library takes time and memory in the square of some numbers. Therefore they are bounded before it parses.
const (
	maxDepth    = 100     // of lists and mappings in each other
	maxKeys     = 10_000  // of mappings, all together
	maxItems    = 20_000  // of lists in lines of their own
	maxBrackets = 100_000 // wherever they are; each one that opens is a value
)

// tooMuch returns the problem of a document that is the nesting is too deep or is too large, nil if it is neither.
func tooMuch(tokens token.Tokens, name string, l lines) *Problem {
	var (
		flow        int   // brackets that are open
		columns     []int // where the lists and mappings outside of brackets begin
		keys, items int
		before      *token.Token
	)
	for _, t := range tokens {
		begins := 0 // the column of a list or mapping
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
