-- Gzip, by zlib.
local ffi = require "ffi"

ffi.cdef [[
typedef struct {
    const uint8_t *next_in; unsigned avail_in; unsigned long total_in;
    uint8_t *next_out; unsigned avail_out; unsigned long total_out;
    const char *msg; void *state; void *zalloc; void *zfree; void *opaque;
    int data_type; unsigned long adler; unsigned long reserved;
} kap_z_stream;
const char *zlibVersion(void);
int deflateInit2_(kap_z_stream *s, int level, int method, int bits, int mem, int strategy,
                  const char *version, int size);
int deflate(kap_z_stream *s, int flush);
int deflateEnd(kap_z_stream *s);
unsigned long crc32(unsigned long crc, const char *buf, unsigned len);
unsigned long crc32_combine(unsigned long a, unsigned long b, long length);
]]

local M = {}
local Z_FULL_FLUSH, Z_FINISH, Z_DEFLATED = 3, 4, 8
local BLOCK = 1048576

-- nginx brings zlib into the process; elsewhere it is loaded.
local z = pcall(function() return ffi.C.deflateInit2_ end) and ffi.C or ffi.load "z"

local HEADER = "\31\139\8\0\0\0\0\0\0\255"

local function compressor(level)
    local s = ffi.new "kap_z_stream"
    assert(z.deflateInit2_(s, level or 9, Z_DEFLATED, -15, 8, 0, z.zlibVersion(), ffi.sizeof(s)) == 0, "deflateInit2")
    return ffi.gc(s, z.deflateEnd)
end

local function compress(s, text, flush)
    local size = #text + 1024
    local out = ffi.new("uint8_t[?]", size)
    s.next_in, s.avail_in = ffi.cast("const uint8_t *", text), #text
    s.next_out, s.avail_out = out, size
    z.deflate(s, flush)
    return ffi.string(out, size - s.avail_out)
end

local function little_endian(n)
    n = tonumber(n)
    return string.char(n % 256, math.floor(n / 256) % 256, math.floor(n / 65536) % 256, math.floor(n / 16777216) % 256)
end

local function trailer(crc, length)
    return little_endian(crc) .. little_endian(length % 4294967296)
end

-- A text's gzip form, compressed fast.
function M.gzip(text)
    return HEADER .. compress(compressor(1), text, Z_FINISH) .. trailer(z.crc32(0, text, #text), #text)
end

local blocks_of = {}

-- A block of one unit: its length, its packed form and its checksum.
local function block_of(unit)
    local known = blocks_of[unit]
    if not known then
        local block = unit:rep(math.floor(BLOCK / #unit))
        known = { size = #block, packed = compress(compressor(), block, Z_FULL_FLUSH), crc = z.crc32(0, block, #block) }
        blocks_of[unit] = known
    end
    return known
end

-- One short string many times over costs nothing: a block compressed once with
-- a full flush may be repeated as it is. Writes the gzip form of head, then `unit` until the whole would be `total`
-- bytes long with tail, then tail.
function M.repeated(write, head, unit, total, tail)
    local s = compressor()
    local fill = math.max(math.floor((total - #head - #tail) / #unit), 0)
    local block = block_of(unit)
    local per_block = block.size / #unit
    local rest = unit:rep(fill % per_block)
    local crc = z.crc32(0, head, #head)
    write(HEADER .. compress(s, head, Z_FULL_FLUSH))
    local blocks = math.floor(fill / per_block)
    for _ = 1, blocks do
        write(block.packed)
        crc = z.crc32_combine(crc, block.crc, block.size)
    end
    crc = z.crc32(crc, rest .. tail, #rest + #tail)
    local length = #head + blocks * block.size + #rest + #tail
    write(compress(s, rest .. tail, Z_FINISH) .. trailer(crc, length))
end

return M
