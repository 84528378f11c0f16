package streams

import "context"

// Create creates a stream of a content type, for the program that has the server. A stream that exists already with that type, and is
// open, is not an error; one that is closed, or has another type, is ErrConflict.
func (s *Server) Create(ctx context.Context, name, contentType string) error {
	return s.with(ctx, name, func(ctx context.Context, x *stream) error {
		_, err := x.create(ctx, &addition{kind: contentType}, lifetime{})
		return err
	})
}

// Append appends data to a stream, and closes it if last is true. data may be empty then; it is not kept. A closed stream is ErrConflict.
func (s *Server) Append(ctx context.Context, name string, data []byte, last bool) error {
	return s.with(ctx, name, func(ctx context.Context, x *stream) error {
		_, err := x.add(ctx, &addition{body: append([]byte(nil), data...), kind: x.contentType(), close: last})
		return err
	})
}
