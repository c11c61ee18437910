-- What nginx offers no way to do with a client's connection: break it in the
-- ways that networks do. The descriptor is found by the client's address.
local ffi = require "ffi"

ffi.cdef [[
int getpeername(int fd, void *addr, unsigned *len);
int getsockname(int fd, void *addr, unsigned *len);
int shutdown(int fd, int how);
long send(int fd, const void *buf, size_t n, int flags);
int getsockopt(int fd, int level, int name, void *value, unsigned *len);
int connect(int fd, const void *addr, unsigned len);
int socket(int domain, int type, int protocol);
int bind(int fd, const void *addr, unsigned len);
int listen(int fd, int backlog);
char *strerror(int code);
]]

local M = {}
local C = ffi.C
local AF_UNSPEC, AF_INET, SOCK_STREAM, SOCK_NONBLOCK = 0, 2, 1, 0x800
local IPPROTO_TCP, TCP_INFO, TCP_ESTABLISHED = 6, 11, 1
local SHUT_RDWR, MSG_NOSIGNAL = 2, 0x4000

local addr = ffi.new "uint8_t[128]"
local length = ffi.new "unsigned[1]"

local function port_of(call, fd)
    length[0] = 128
    if call(fd, addr, length) ~= 0 then return nil end
    -- The port is at the same place in sockaddr_in and sockaddr_in6.
    return addr[2] * 256 + addr[3]
end

-- The descriptor of the connection between these two ports, in this worker.
function M.find(remote_port, local_port)
    for fd = 3, 8192 do
        if port_of(C.getpeername, fd) == remote_port and port_of(C.getsockname, fd) == local_port then
            return fd
        end
    end
end

function M.current()
    return M.find(tonumber(ngx.var.remote_port), tonumber(ngx.var.server_port))
end

-- Whether the client has closed its side. Linux only; elsewhere never.
function M.left(fd)
    length[0] = 128
    if jit.os ~= "Linux" or C.getsockopt(fd, IPPROTO_TCP, TCP_INFO, addr, length) ~= 0 then return false end
    return addr[0] ~= TCP_ESTABLISHED
end

-- A reset: TCP's, at once, with whatever was still to be sent thrown away.
function M.reset(fd)
    ffi.fill(addr, 16)
    addr[0] = AF_UNSPEC
    C.connect(fd, addr, 16)
end

-- An end: TCP's, without TLS's or HTTP/2's good-bye.
function M.finish(fd)
    C.shutdown(fd, SHUT_RDWR)
end

-- Bytes under TLS's feet, then an end.
function M.noise(fd)
    local text = "this is neither a TLS record nor HTTP\r\n"
    C.send(fd, text, #text, MSG_NOSIGNAL)
    M.finish(fd)
end

-- Does one of these to every connection to this port, in this worker: for a
-- listener all of whose connections are to end so.
function M.each(local_port, action)
    for fd = 3, 8192 do
        if port_of(C.getpeername, fd) and port_of(C.getsockname, fd) == local_port then M[action](fd) end
    end
end

local kept = {}

-- A port that never answers a connect: a queue of one that is full. Raises
-- where another process has the port.
function M.blackhole(port)
    local a = ffi.new "uint8_t[16]"
    a[0], a[2], a[3] = AF_INET, math.floor(port / 256), port % 256
    a[4], a[7] = 127, 1
    local fd = C.socket(AF_INET, SOCK_STREAM + SOCK_NONBLOCK, 0)
    if fd < 0 or C.bind(fd, a, 16) ~= 0 or C.listen(fd, 0) ~= 0 then
        local why = ffi.string(C.strerror(ffi.errno()))
        if why == "Address already in use" then error(port .. ": " .. why) end
        ngx.log(ngx.ERR, "no blackhole listener on port ", port, ": ", why)
        return
    end
    for i = 1, 4 do
        kept[i] = C.socket(AF_INET, SOCK_STREAM + SOCK_NONBLOCK, 0)
        C.connect(kept[i], a, 16)
    end
end

return M
