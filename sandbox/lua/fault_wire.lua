-- Faults in how an answer travels: when, in what pieces, how far.
local breaking = require "breaking"

local M = {}

M.delay = {
    doc = "waits so long before the answer (after=headers: between headers and body); jitter adds up to so much",
    params = { ms = 100, jitter = 0, after = "" },
    gate = function(ctx, p)
        local seconds = (p.ms + (p.jitter > 0 and math.random(0, p.jitter) or 0)) / 1000
        if p.after == "headers" then
            ctx.plan.head_delay = seconds
        else
            breaking.pause(ctx, seconds)
        end
    end,
}

M.drip = {
    doc = "the body in pieces of so many bytes, with a pause after each",
    params = { bytes = 100, ms = 20 },
    wire = function(_, p, plan)
        plan.piece, plan.pause, plan.identity = math.max(p.bytes, 1), p.ms / 1000, true
    end,
}

M.bytes1 = {
    doc = "the body in pieces of one byte (chunks of one on HTTP/1.1), no pause",
    wire = function(_, _, plan)
        plan.piece, plan.length, plan.identity = 1, false, true
    end,
}

M.chunked = {
    doc = "no Content-Length",
    wire = function(_, _, plan) plan.length = false end,
}

M.identity = {
    doc = "no gzip, whatever was asked for",
    wire = function(_, _, plan) plan.identity = true end,
}

M.truncate = {
    doc = "the body ends early, at bytes (1 and more) or that share of it; framing length or chunked; " ..
        "finish notify (TLS's good-bye is said), abrupt or reset",
    params = { at = 0.5, framing = "length", finish = "abrupt" },
    wire = function(_, p, plan)
        plan.cut = { at = p.at, how = p.finish }
        plan.identity = true
        if p.framing == "chunked" then
            plan.length = false
            if p.finish == "notify" then plan.cut.how = "abrupt" end
        end
    end,
}

M.reset = {
    doc = "TCP reset: before the answer (at=0), or in the body at bytes or a share; " ..
        "scope connection or stream (HTTP/2)",
    params = { at = 0, scope = "connection" },
    gate = function(ctx, p)
        if p.at == 0 then return breaking.reset(ctx, p.scope) end
    end,
    wire = function(_, p, plan)
        plan.cut = { at = p.at, how = "reset", scope = p.scope }
        plan.identity = true
    end,
}

M.stall = {
    doc = "sends so much of the body (bytes or a share), then nothing for so many seconds, then closes",
    params = { at = 0.5, s = 60 },
    wire = function(_, p, plan)
        plan.cut = { at = p.at, how = "stall", seconds = math.min(p.s, 600) }
        plan.identity = true
    end,
}

M.idleclose = {
    doc = "answers, then closes the idle connection so many milliseconds later",
    params = { ms = 50 },
    wire = function(_, p, plan) plan.idleclose = p.ms / 1000 end,
}

M.lastone = {
    doc = "answers with Connection: close (HTTP/1.1)",
    h1 = true, -- and all its work is done by location.conf
}

M.http10 = {
    doc = "an HTTP/1.0 answer whose end is the end of the connection; at: and that ends early, at bytes or a share",
    params = { at = 0 },
    h1 = true,
    wire = function(_, p, plan) plan.raw = { style = "http10", at = p.at } end,
}

M.stray = {
    doc = "an answer, and so many milliseconds later something that nobody asked for on the idle connection: " ..
        "form 408 (and the end), line (an empty one) or response (the same again)",
    params = { form = "408", ms = 20 },
    h1 = true,
    wire = function(_, p, plan) plan.raw = { style = "kept", stray = p.form, after = p.ms / 1000 } end,
}

M.early = {
    doc = "n interim answers (100, 102 or 103) before the real one",
    params = { code = 103, n = 1 },
    h1 = true,
    wire = function(_, p, plan) plan.raw = { style = "plain", early = p.code, n = p.n } end,
}

M.garbage = { -- h1 but for one form: the handler sees to it
    doc = "not HTTP: form noise, status, version, header, nul, chunk, lengths, endless (one header line), " ..
        "cut (within the headers) or tls (noise under TLS: any protocol)",
    params = { form = "noise" },
    gate = function(ctx, p)
        if p.form == "tls" then return breaking.noise(ctx) end
    end,
    wire = function(_, p, plan) plan.raw = { style = p.form } end,
}

return M
