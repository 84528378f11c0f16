// The paths are those of python.py.
import javax.servlet.http.*;
import org.eclipse.jetty.server.*;
import org.eclipse.jetty.servlet.*;
import org.eclipse.jetty.websocket.api.*;
import org.eclipse.jetty.websocket.servlet.*;

public class Jetty {
    public static class Echo extends WebSocketAdapter {
        private final String path;

        Echo(String path) {
            this.path = path;
        }

        @Override
        public void onWebSocketConnect(Session session) {
            super.onWebSocketConnect(session);
            if (path.equals("/late")) session.close(4401, "token expired");
            if (path.equals("/broken")) throw new IllegalStateException("room");
        }

        @Override
        public void onWebSocketText(String message) {
            getRemote().sendStringByFuture(message);
        }
    }

    public static class Sockets extends WebSocketServlet {
        @Override
        public void configure(WebSocketServletFactory factory) {
            factory.setCreator((request, response) -> {
                String path = request.getHttpServletRequest().getServletPath();
                try {
                    if (path.equals("/origin") && !"https://app.example".equals(request.getOrigin())) response.sendForbidden("origin");
                    else if (path.equals("/token") && !"token=s3cret".equals(request.getQueryString())) response.sendError(401, "token");
                    else return new Echo(path);
                } catch (java.io.IOException e) {
                    throw new IllegalStateException(e);
                }
                return null;
            });
        }
    }

    public static class Page extends HttpServlet {
        @Override
        protected void doGet(HttpServletRequest request, HttpServletResponse response) throws java.io.IOException {
            response.setContentType("text/html");
            response.getWriter().println("<h1>Welcome to the shop</h1>");
        }
    }

    public static void main(String[] args) throws Exception {
        Server server = new Server();
        ServerConnector connector = new ServerConnector(server, 1, 1);
        connector.setHost("127.0.0.1");
        connector.setPort(Integer.parseInt(args[0]));
        server.addConnector(connector);
        ServletContextHandler context = new ServletContextHandler();
        for (String path : new String[] {"/ws", "/late", "/broken", "/origin", "/token"}) context.addServlet(Sockets.class, path);
        context.addServlet(Page.class, "/page");
        server.setHandler(context);
        server.start();
        server.join();
    }
}
