-- How the sandbox starts and, whatever happens, stops.
local sandbox = require "spec.support.sandbox"

local function sh(script)
    local pipe = assert(io.popen("timeout 120 bash -c '" .. script:gsub("'", "'\\''") .. "' 2>&1", "r"))
    local text = pipe:read "*a"
    pipe:close()
    return text
end

-- A shell in which `start` starts one, with $! its process, and waits until it
-- is ready; `gone` waits until process, nginx, directory and ready file are. What a
-- shell has started goes with it, or whoever reads its output would wait for that.
local PRELUDE = [[
trap 'kill ${run:-} $(jobs -p) 2>/dev/null' EXIT
ready=$(mktemp -u)
start() {
    "$@" <&0 &
    run=$!
    for i in $(seq 600); do [ -f $ready ] && break; sleep 0.05; done
    [ -f $ready ] || { echo "not ready"; exit; }
    . $ready
    nginx=$(cat $dir/nginx.pid)
}
alive() { ps -o stat= -p "$1" 2>/dev/null | grep -qv Z; } # zombies are gone
gone() {
    for i in $(seq 600); do
        if ! alive $pid && ! alive $nginx && [ ! -e $dir ]; then
            [ ! -e $ready ] || echo "ready file left"
            echo gone
            return
        fi
        sleep 0.05
    done
    echo "still there: $(ps -o pid,args -p $pid,$nginx) $(ls -d $dir)"
}
]]

describe("sandbox/run #once", function()
    for _, signal in ipairs { "TERM", "INT", "HUP" } do
        it("stops on " .. signal, function()
            -- An interactive shell's jobs get SIGINT; those of a script ignore it.
            assert.equal("gone\n", sh("set -m\n" .. PRELUDE ..
                "start sandbox/run --quiet --ready $ready </dev/null\ndisown\nkill -" .. signal .. " $run\ngone"))
        end)
    end

    it("leaves nothing behind when it is killed", function()
        assert.equal("gone\n", sh(PRELUDE .. [[
            start sandbox/run --quiet --ready $ready </dev/null
            disown
            kill -KILL $run
            gone]]))
    end)

    it("stops when its parent is gone, or its standard input", function()
        assert.equal("gone\n", sh(PRELUDE .. [[
            sleep 60 & parent=$!
            start sandbox/run --quiet --ready $ready --parent $parent </dev/null
            disown -a
            kill $parent
            gone]]))
        assert.equal("gone\n", sh(PRELUDE .. [[
            fifo=$(mktemp -u); mkfifo $fifo
            exec 7<>$fifo
            start sandbox/run --quiet --stdin --ready $ready <$fifo 7>&-
            exec 7>&-
            gone
            rm $fifo]]))
    end)

    it("stops when nginx does", function()
        assert.truthy(sh(PRELUDE .. [[
            start sandbox/run --quiet --ready $ready </dev/null
            kill $nginx
            gone]]):find "gone\n$")
    end)

    it("runs several at once, each with its own token, and takes a port and a token", function()
        local out = sh(PRELUDE .. [[
            start sandbox/run --quiet --ready $ready --token abc= --workers 1 </dev/null
            one=$run port=${https##*:}
            echo "$token"
            curl -s $http/sandbox/health
            rm $ready
            kill $run; gone
            start sandbox/run --quiet --ready $ready --port $port </dev/null
            [ "$https" = https://localhost:$port ] && echo "same port"
            echo "${#token}"
            kill $run; gone]])
        assert.equal("abc=\nok\ngone\nsame port\n36\ngone\n", out)
        assert.equal("ok\n", sh("curl -s " .. sandbox.http .. "/sandbox/health"))
    end)

    it("is not ready when another answers on a port that it wanted", function()
        local out = sh(PRELUDE .. [[
            tmp=$(mktemp -d) other=$tmp/ready
            cat >$tmp/nginx <<"END"
#!/bin/sh
if [ "$1" != -V ]; then touch ${0%/*}/begun; until [ -e ${0%/*}/go ]; do sleep 0.05; done; fi
PATH=$PATH:/usr/sbin exec nginx "$@"
END
            chmod 755 $tmp/nginx
            NGINX=$tmp/nginx sandbox/run --quiet --ready $other --http-port 10239 </dev/null & slow=$!
            until [ -e $tmp/begun ]; do sleep 0.05; done
            start sandbox/run --quiet --ready $ready --http-port 10239 </dev/null
            sleep 0.2
            touch $tmp/go
            wait $slow
            echo "$?"
            [ -e $other ] && echo "ready"
            kill $run; gone
            rm -r $tmp]])
        assert.equal("sandbox: port 10239 is taken\n1\ngone\n", out)
    end)

    it("says when it can't", function()
        assert.truthy(sh("sandbox/run --port x"):find("'x' is not a number", 1, true))
        assert.truthy(sh("sandbox/run --token 'a;b'"):find "a token of letters")
        assert.truthy(sh("sandbox/run --nosuch"):find "usage:")
        local port = sandbox.https:match "%d+$"
        assert.truthy(sh("sandbox/run --port " .. port):find("port " .. port .. " is taken", 1, true))
        assert.truthy(sh("NGINX=/bin/true sandbox/run"):find "sandbox:")
    end)

    it("prints lines that work as they are", function()
        local out = sh [[
            log=$(mktemp)
            sandbox/run </dev/null >$log 2>&1 & run=$!
            for i in $(seq 600); do grep -q Ctrl-C $log && break; sleep 0.05; done
            eval "$(grep ^export $log)"
            eval "$(sed -n '/^curl/,/v.2.0$/p' $log | sed 's/^curl/curl -sS/')"
            kill $run; wait $run; rm $log]]
        assert.truthy(out:find '^%[{"additional_info":{},"history":{},"task_details":{"date":"19%-04%-2024 14:19"', out)
    end)
end)
