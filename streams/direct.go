package streams

import "context"

// Create creates a stream with a content type, for the program that contains the server. It returns nil if an open stream with that
// type already exists, and ErrConflict if the existing stream is closed or has another type.
func (s *Server) Create(ctx context.Context, name, contentType string) error {
	return s.with(ctx, name, func(ctx context.Context, x *stream) error {
		_, err := x.create(ctx, &addition{kind: contentType}, lifetime{})
		return err
	})
}

// Append appends data to a stream, and closes the stream if last is true; data may be empty then. Append does not retain data. If
// the stream is closed, the error is ErrConflict.
func (s *Server) Append(ctx context.Context, name string, data []byte, last bool) error {
	return s.with(ctx, name, func(ctx context.Context, x *stream) error {
		_, err := x.add(ctx, &addition{body: append([]byte(nil), data...), kind: x.contentType(), close: last})
		return err
	})
}
