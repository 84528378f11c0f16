# The paths are those of python.py.
use Mojolicious::Lite -signatures;

app->log->level('fatal');
my $echo = sub ($c) { $c->on(message => sub ($c, $message) { $c->send($message) }) };
websocket '/ws'   => $echo;
websocket '/late' => sub ($c) { $c->finish(4401 => 'token expired') };
websocket '/sub'  => sub ($c) { $c->tx->with_protocols('chat.v1'); $echo->($c) };
websocket '/crash' => sub ($c) { die 'room' };
websocket '/token' => sub ($c) {
  return $c->render(text => 'Unauthorized', status => 401) if ($c->param('token') // '') ne 's3cret';
  $echo->($c);
};
websocket '/origin' => sub ($c) {
  return $c->render(text => 'Forbidden', status => 403) if ($c->req->headers->origin // '') ne 'https://app.example';
  $echo->($c);
};
get '/page' => sub ($c) { $c->render(text => '<h1>Welcome to the shop</h1>') };
post '/send' => sub ($c) { $c->render(text => 'ok') };
app->start;
