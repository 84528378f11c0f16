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
	mux.Handle("/echo", s.endpoint(echo, websocket.ConnOptions{
		MaxMessage:  echoMax,
		Compression: &websocket.Compression{}, // whoever sends also gets it back: there is no secret to give away
	}))
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
		defer c.CloseNow() // for a panic; else it has ended by then
		began := time.Now()
		if s.conns.add(c) {
			log.Info("opened")
			err = serve(r.Context(), c)
		} else {
			err = c.Close(websocket.CodeGoingAway, goAway)
		}
		// A stop may be closing the connection at this very moment: this Close waits until that is done, and does nothing to
		// a connection that has ended. Only an endpoint that gives up by itself is closed by it.
		_ = c.Close(websocket.CodeInternalError, "")
		logEnd(log, c, err, time.Since(began))
	})
}

// logEnd says how a connection ended, and why the endpoint gave it up if that was not the reason.
func logEnd(log *slog.Logger, c *websocket.Conn, err error, lasted time.Duration) {
	log = log.With("lasted", lasted.Round(time.Millisecond))
	var closed *websocket.CloseError
	if err != nil && !errors.As(err, &closed) {
		log = log.With("cause", err)
	}
	if !errors.As(context.Cause(c.Context()), &closed) {
		log.Warn("closed")
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
