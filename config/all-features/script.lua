-- A source of `modifier/lua-backend`: what it defines, `pre` and `post` may call.
function tag(request)
  request:headers("X-Tag", "example")
end
