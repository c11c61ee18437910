# shellcheck shell=bash
# Sourced by what starts an nginx.

nginx=${NGINX:-$(command -v nginx || echo /usr/sbin/nginx)}

nginx_globals() { # what a configuration begins with: its Lua module, its user
    local modules
    [ "$(id -u)" != 0 ] || printf 'user root; '
    modules=$("$nginx" -V 2>&1 | sed -n 's/.*--modules-path=\([^ ]*\).*/\1/p')
    [ ! -f "$modules/ngx_http_lua_module.so" ] ||
        printf '%s' "load_module $modules/ndk_http_module.so; load_module $modules/ngx_http_lua_module.so;"
}

nginx_start() { # directory, configuration in it; $! is the process
    (
        unset LUA_PATH LUA_CPATH LUA_INIT
        exec "$nginx" -p "$1" -c "$1/$2" -e "$1/$2.log" </dev/null >"$1/$2.out" 2>&1
    ) &
}

free_port() { # one that nobody listens on, below those of outgoing connections
    local port
    for (( ; ; )); do
        port=$((10240 + RANDOM % 20000))
        (exec 9<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
}

await() { # url, options of curl: until it answers, for ten seconds at most
    local i url=$1
    shift
    for ((i = 0; i < 200; i++)); do
        curl -sf -o /dev/null "$@" "$url" && return
        sleep 0.05
    done
    return 1
}
