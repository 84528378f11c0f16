<?php
if ($_SERVER["REQUEST_URI"] === "/crash") { ini_set("display_errors", "0"); missing_function(); }
if ($_SERVER["REQUEST_URI"] !== "/page") { http_response_code(404); echo "Not Found"; exit; }
echo "<!doctype html><title>Shop</title><h1>Welcome</h1>";
