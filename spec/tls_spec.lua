-- TLS: verified always, unless verify = false says otherwise.
local ask = require "spec.support.ask"
local kapture = require "kapture"
local sandbox = require "spec.support.sandbox"

local function on(listener, opts)
    return ask("1", opts, { on = listener })
end

-- What the message says of it. GnuTLS's own has nothing but "certificate
-- verification failed" for all that the chain lacks.
local gnutls = (kapture.version().tls or ""):find "GnuTLS" ~= nil
local words = {
    expired = "expired", notyet = "not yet valid", wronghost = "subject name", selfsigned = "self[- ]signed",
    unknownca = "local issuer", nointermediate = "local issuer", tls11 = "protocol version",
    nottls = gnutls and "unexpected TLS packet" or "wrong version",
}
local chain = { expired = true, notyet = true, selfsigned = true, unknownca = true, nointermediate = true }

local function says(listener, message)
    local wanted = gnutls and chain[listener] and "certificate verification failed" or words[listener]
    assert.is_truthy(message:find(wanted), message)
end

describe("a certificate", function()
    for _, defect in ipairs { "expired", "notyet", "wronghost", "selfsigned", "unknownca", "nointermediate" } do
        it("is refused: " .. defect, function()
            local got = on(defect, { retries = 3, backoff = 5 })
            assert.are.equal("tls", got.err and got.err.kind, got.message)
            says(defect, got.message)
            assert.is_false(got.err.retryable)
            assert.are.equal(1, got.err.attempts)
            assert.is_nil(got.err.status)
            assert.are.equal(0, #got.log)
        end)

        it("passes with verify = false, and only there: " .. defect, function()
            assert.are.equal(1, #on(defect, { verify = false }).tickets)
            assert.are.equal("tls", on(defect).err.kind)
            assert.are.equal("tls", on(defect, { verify = true }).err.kind)
        end)
    end

    it("of a good server passes with its authority only", function()
        assert.are.equal(1, #on("https").tickets)
        assert.are.equal("tls", on("https", { ca_file = false }).err.kind)
        assert.are.equal("tls", on("https", { ca_file = "/nonexistent.pem" }).err.kind)
        assert.are.equal(1, #on("https").tickets)
    end)

    it("must be for the host that was asked for", function()
        local port = sandbox.wronghost:match ":(%d+)$"
        for _, host in ipairs { "localhost", "LOCALHOST", "127.0.0.1" } do
            assert.are.equal("tls", on("wronghost", { base_url = ("https://%s:%s"):format(host, port) }).err.kind)
        end
    end)

    it("is checked for a client that others share the host with", function()
        local lax = kapture.new(ask.opts { base_url = sandbox.selfsigned, verify = false })
        assert.are.equal(1, #lax:get_ticket "1")
        assert.are.equal("tls", select(3, lax:get_ticket("1", { verify = true })).kind)
        assert.are.equal(1, #lax:get_ticket "1")
    end)
end)

describe("the protocol", function()
    it("is TLS 1.2 or later", function()
        assert.are.equal("tls", on("tls11").err.kind)
        says("tls11", on("tls11").message)
        assert.are.equal("tls", on("tls11", { verify = false }).err.kind)
        assert.is_truthy(ask("1").log[1].tls:find "^TLSv1%.[23]")
    end)

    it("is TLS: a plain port behind https is no such thing", function()
        local got = on("nottls")
        assert.are.equal("tls", got.err.kind)
        says("nottls", got.message)
    end)
end)

describe("a client's certificate", function()
    it("is shown with cert and key", function()
        local got = on("clientcert", { cert = sandbox.client_cert, key = sandbox.client_key })
        assert.is_nil(got.message)
        assert.are.equal(1, #got.tickets)
    end)

    it("that is not there or not usable is a tls failure", function()
        -- The refusal comes after the client's side of the handshake: within the
        -- request that was being sent by then, the alert may be lost.
        local kind, message
        for _ = 1, 20 do
            local got = on "clientcert"
            kind, message = got.err.kind, got.message
            if kind == "tls" then break end
            assert.are.equal("network", kind)
        end
        assert.are.equal("tls", kind)
        assert.is_truthy(message:find "alert" or message:find "client's certificate %(cert, key%)", message)
        assert.are.equal("tls", on("clientcert", { cert = "/nonexistent.pem" }).err.kind)
        assert.are.equal("tls", on("clientcert", { cert = sandbox.client_cert, key = sandbox.ca }).err.kind)
    end)
end)
