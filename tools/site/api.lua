-- The LuaCATS annotations of a Lua file as a page of Markdown: its first comment,
-- its functions, its classes.
local M = {}

local function cell(text)
    return (text:gsub("|", "\\|"):gsub("\n", " "))
end

-- A type, and what follows it: a type may have blanks in brackets and after colons.
local function split_type(rest)
    local depth, i = 0, 1
    while i <= #rest do
        local c = rest:sub(i, i)
        if c:find "[(<{%[]" then
            depth = depth + 1
        elseif c:find "[)>}%]]" then
            depth = depth - 1
        elseif c == " " and depth == 0 and not rest:sub(i - 1, i - 1):find "[:,|]" then
            break
        end
        i = i + 1
    end
    return rest:sub(1, i - 1), rest:sub(i + 1)
end

local function new_block()
    return { doc = {}, params = {}, returns = {}, fields = {}, choices = {} }
end

-- Reads the comments of a file into blocks, each with what it stands before.
local function blocks_of(text)
    local list, block = {}, nil
    for line in text:gmatch "([^\n]*)\n" do
        local tag, rest = line:match "^%-%-%-@(%l+)%s*(.*)$"
        local choice = line:match "^%-%-%-| ?(.*)$"
        local doc = line:match "^%-%-%- ?(.*)$"
        if tag or choice or doc then
            block = block or new_block()
            if tag == "param" then
                local name, more = rest:match "^(%S+)%s+(.*)$"
                local kind, about = split_type(more)
                block.params[#block.params + 1] = { name, kind, about }
            elseif tag == "return" then
                local kind, about = split_type(rest)
                block.returns[#block.returns + 1] = { kind, about }
            elseif tag == "field" then
                local name, more = rest:match "^(%S+)%s+(.*)$"
                if name ~= "private" then
                    local kind, about = split_type(more)
                    block.fields[#block.fields + 1] = { name, kind, about }
                end
            elseif tag == "class" or tag == "alias" then
                block[tag] = rest:match "^%S+"
                local about = rest:sub(#block[tag] + 2)
                if tag == "alias" and about ~= "" then
                    block.choices[1] = about
                elseif about ~= "" then
                    block.doc[#block.doc + 1] = about
                end
            elseif tag then
                block[tag] = rest
            elseif choice then
                block.choices[#block.choices + 1] = choice
            else
                block.doc[#block.doc + 1] = doc
            end
        else
            if block then
                block.name, block.arguments = line:match "^function ([%w_.:]+)(%b())"
                list[#list + 1] = block
                block = nil
            end
        end
    end
    return list
end

local function described(doc)
    return table.concat(doc, "\n")
end

local function rows(head, list, format)
    if #list == 0 then return "" end
    local out = { head, (head:gsub("[^|]+", "---")) }
    for _, entry in ipairs(list) do out[#out + 1] = format(entry) end
    return "\n" .. table.concat(out, "\n") .. "\n"
end

local function row(entry)
    return ("| `%s` | `%s` | %s |"):format(entry[1], cell(entry[2]), cell(entry[3]))
end

-- Arguments or results: a name or none, a type, a description.
local function entries(head, list)
    if #list == 0 then return "" end
    local out = {}
    for i, entry in ipairs(list) do
        local name, kind, about = entry[1], entry[2], entry[3]
        if not about then name, kind, about = nil, name, kind end
        out[i] = ("- %s`%s`%s"):format(name and "`" .. name .. "`: " or "", kind, about ~= "" and " - " .. about or "")
    end
    return "\n" .. head .. table.concat(out, "\n") .. "\n"
end

function M.page(name, text)
    local intro, functions, types = "", {}, {}
    for i, block in ipairs(blocks_of(text)) do
        if block.class or block.alias then
            local out = { ("### %s\n\n%s\n"):format(block.class or block.alias, described(block.doc)) }
            out[2] = rows("| field | type | |", block.fields, row)
            out[3] = rows("| one of | |", block.choices, function(choice)
                local kind, about = split_type(choice)
                return ("| `%s` | %s |"):format(cell(kind), cell(about))
            end)
            local of_a_method = #block.fields == 0 and #block.choices == 0 and #block.doc == 0
            if not of_a_method then types[#types + 1] = table.concat(out) end
        elseif block.name and not block.private then
            local shown = block.name:gsub("^M([.:])", name:gsub("%%", "%%%%") .. "%1")
            shown = shown:gsub("^(%u%l+):", function(class) return class:lower() .. ":" end)
            local public = block.params[1] or block.returns[1] or block.arguments == "()"
            if public then
                functions[#functions + 1] = ("### %s\n\n`%s%s`\n\n%s\n%s%s"):format(
                    shown, shown, block.arguments, described(block.doc), entries("", block.params),
                    entries("Returns\n\n", block.returns))
            end
        elseif i == 1 and #block.doc > 0 then
            intro = described(block.doc) .. "\n"
        end
    end
    local out = { "# " .. name .. "\n", intro }
    if #functions > 0 then out[#out + 1] = "\n## Functions\n\n" .. table.concat(functions, "\n") end
    if #types > 0 then out[#out + 1] = "\n## Types\n\n" .. table.concat(types, "\n") end
    return table.concat(out, "\n")
end

return M
