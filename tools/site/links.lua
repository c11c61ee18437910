-- A filter for pandoc: links between files of the checkout become links between
-- pages of the site. What they lead to is noted for tools/site/make.
local page = os.getenv "KAPTURE_SITE_PAGE"
local found = assert(io.open(os.getenv "KAPTURE_SITE_FOUND", "a"))

-- A path relative to the page, from the top of the checkout.
local function resolve(target)
    local parts = {}
    for part in ((page:match "^.*/" or "") .. target):gmatch "[^/]+" do
        if part == ".." then
            table.remove(parts)
        elseif part ~= "." then
            parts[#parts + 1] = part
        end
    end
    return table.concat(parts, "/")
end

local function is_directory(path)
    local file = io.open(path, "rb")
    if not file then return false end
    local _, _, code = file:read(1)
    file:close()
    return code == 21
end

local function note(what, path)
    found:write(what, " ", path, "\n")
end

function Link(link)
    if link.target:find "^%l+:" then return nil end
    local target, anchor = link.target:match "^([^#]*)(.*)$"
    if target == "" then return nil end
    local path = resolve(target)
    if is_directory(path) then
        note("page", path .. "/index")
        target = target:gsub("/$", "") .. "/index.html"
    elseif path:find "%.svg$" or path:find "%.png$" then
        note("file", path)
    else
        note("page", path)
        target = target:gsub("%.md$", "") .. ".html"
    end
    link.target = target .. anchor
    return link
end

function Image(image)
    if not image.src:find "^%l+:" then note("file", resolve(image.src)) end
end
