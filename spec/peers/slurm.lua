-- examples/scale-out/slurm on a Slurm of one node, which is killed in the middle.
-- What it shows does not depend on the Lua: once is enough.
if os.getenv "ABI" and os.getenv "ABI" ~= "5.4" then return end

local json = require "spec.support.json"
local sandbox = require "spec.support.sandbox"
local system = require "spec.support.system"

local root = system.output("pwd"):match "[^\n]+"

describe("examples/scale-out/slurm", function()
    local dir

    setup(function()
        dir = system.output "mktemp -d":match "%S+"
        local ok = os.execute(("spec/support/slurm.sh %s start %d %d"):format(dir,
            system.free_port(), system.free_port()))
        assert.is_true(ok == true or ok == 0)
        system.write(dir .. "/kapture", "#!/bin/sh\nexec lua5.4 " .. root .. '/bin/kapture "$@"\n')
        os.execute("chmod +x " .. dir .. "/kapture")
    end)

    teardown(function()
        os.execute(("spec/support/slurm.sh %s stop; rm -rf %s"):format(dir, dir))
    end)

    -- 400 ids, 50 a task, two tasks at a time. Text, exit status.
    local function run(out, base, more)
        local text = system.output(([[
            export SLURM_CONF=%s/slurm.conf KAPTURE=%s/kapture HOME=%s BATCH=50 JOBS=2
            export KAPTURE_BASE_URL=%s KAPTURE_TOKEN=%s KAPTURE_CA_FILE=%s
            seq 713000000001 713000000400 >%s/ids
            %s
            timeout 120 examples/scale-out/slurm %s/ids %s/%s --export=ALL 2>&1
            echo "exit $?"]]):format(dir, dir, dir, system.quoted(base), sandbox.token, system.quoted(sandbox.ca),
            dir, more or "", dir, dir, out))
        return text:match "^(.-)exit (%d+)\n$"
    end

    local function complete(text)
        local seen, n = {}, 0
        for line in text:gmatch "[^\n]+" do
            local id = json.decode(line).task_details.ticketId
            assert.is_nil(seen[id], id)
            seen[id], n = true, n + 1
        end
        assert.are.equal(400, n)
    end

    it("fetches each id once, though the node is killed in the middle", function()
        local text, code = run("killed", sandbox.url "delay,ms=700", ([[
            { while ! ls %s/killed/*.ndjson; do sleep 0.1; done
              spec/support/slurm.sh %s kill; sleep 1; spec/support/slurm.sh %s again; } >/dev/null 2>&1 &]]):format(
            dir, dir, dir))
        assert.are.equal("0", code, text)
        complete(text)
    end)

    it("does what is not done when it is run again, and nothing else", function()
        local key = sandbox.key()
        local text, code = run("failed", sandbox.url("status,code=403,ifid=713000000130", { key = key }))
        assert.are_not.equal("0", code, text)
        assert.are.equal(8, #sandbox.requests(key))
        key = sandbox.key()
        text, code = run("failed", sandbox.url { key = key }, "RATE=20; export RATE;")
        assert.are.equal("0", code, text)
        complete(text)
        assert.are.equal(1, #sandbox.requests(key))
    end)
end)
