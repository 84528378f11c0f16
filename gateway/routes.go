package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/handfast/handfast/console"
	"github.com/handfast/handfast/websocket"
)

// routes returns what the server answers on its paths.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	console.Register(mux)
	mux.Handle("/echo", s.endpoint(echo, websocket.ConnOptions{MaxMessage: echoMax}))
	return mux
}

// handler is what an endpoint does with a connection, until its error. It need not close it.
type handler func(ctx context.Context, c *websocket.Conn) error

// endpoint returns a handler of HTTP requests that opens WebSockets and gives them to serve.
func (s *Server) endpoint(serve handler, opts websocket.ConnOptions) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entered := false
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{
			Origins: s.opts.Origins,
			Check: func(*http.Request) error {
				err := s.conns.enter()
				entered = err == nil
				return err
			},
			Conn: opts,
		})
		if entered {
			defer s.conns.leave(c)
		}
		log := s.log.With("remote", r.RemoteAddr, "path", r.URL.Path)
		if err != nil {
			log.Info("handshake refused", "error", err)
			return
		}
		defer c.CloseNow()
		if !s.conns.add(c) {
			_ = c.Close(websocket.CodeGoingAway, goAway) // an error says that the peer did not answer: no matter
			return
		}
		began := time.Now()
		log.Info("opened")
		logEnd(log, serve(r.Context(), c), time.Since(began))
	})
}

// logEnd says how a connection ended.
func logEnd(log *slog.Logger, err error, lasted time.Duration) {
	log = log.With("lasted", lasted.Round(time.Millisecond))
	var closed *websocket.CloseError
	if !errors.As(err, &closed) {
		log.Warn("closed", "error", err)
		return
	}
	log = log.With("code", int(closed.Code), "by", closed.By)
	if closed.Reason != "" {
		log = log.With("reason", closed.Reason)
	}
	if closed.Err != nil {
		log = log.With("error", closed.Err)
	}
	log.Info("closed")
}
