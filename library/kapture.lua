---@meta kapture

-- Types of the C module, for lua-language-server: name this directory in
-- workspace.library. Nothing loads it.

---Tickets from Kapture CRM as plain Lua tables.
---@class kapture
---@field _VERSION string `"kapture X.Y.Z"`
---@field null kapture.Null JSON null, equal to cjson.null and ngx.null
---@field array_mt table metatable of every decoded JSON array
local kapture = {}

---A string (several ids separated by commas), an integer (LuaJIT's 64-bit ones,
---too), or an array of such.
---@alias kapture.Ids string|integer|(string|integer)[]

---JSON null in a ticket. It is true in a condition: compare with kapture.null.
---@alias kapture.Null userdata

---A ticket as the service sent it, with every field. The service's word for "none" is
---"", 0, {} or null, and which one differs from field to field.
---@class kapture.Ticket
---@field task_details kapture.TaskDetails
---@field additional_info table<string, table<string, any>>|kapture.Null the account's own fields, by group
---@field history table|kapture.Null {} unless `history_type` asks for it
---@field conversation_type kapture.Conversations|kapture.Null|nil where the option of that name asks for it
---@field [string] any

---Every field but `ticketId` may also be null in some account: compare with kapture.null.
---@class kapture.TaskDetails
---@field ticketId string the id you asked by: 10 to 12 digits, as a string
---@field taskId integer|kapture.Null the service's own number for it; you can't ask by it
---@field title string|kapture.Null HTML-escaped
---@field detail string|kapture.Null the ticket's text, HTML-escaped
---@field status string|kapture.Null `"Pending"`, `"Complete"`, ... It is the ticket's, not the request's
---@field substatus string|kapture.Null the account's own
---@field substatusKey string|kapture.Null a short form of it
---@field priority string|kapture.Null
---@field date string|kapture.Null created
---@field nextFollowUp string|kapture.Null a date
---@field lastFollowUp string|kapture.Null a date
---@field lastConvesationTime string|kapture.Null a date. The name is misspelt so in the API
---@field taskEnddate string|kapture.Null a date, once it has ended. With a small d
---@field callBack string|kapture.Null a date
---@field tat string|kapture.Null turn-around time: `""`, `"0:1:29"` (hours, minutes, seconds) or words
---@field sla string|kapture.Null the time that is allowed, in the same forms
---@field slaStatus string|kapture.Null words. Compare with `"out of sla"`; older endpoints call the field `sla status`
---@field ftr string|kapture.Null resolved at first contact: `"yes"` or `"no"`, not a boolean
---@field disposition string|kapture.Null what it is about; levels are joined with `|`
---@field folderId integer|kapture.Null 0: none
---@field queueKey string|kapture.Null
---@field queueName string|kapture.Null
---@field primarySource string|kapture.Null where it came from
---@field lastSource string|kapture.Null where its latest message came from
---@field creatorId integer|kapture.Null an employee
---@field creatorName string|kapture.Null HTML-escaped
---@field assignedId integer|kapture.Null an employee; 0: nobody
---@field assignedToName string|kapture.Null HTML-escaped
---@field assigneeCode string|kapture.Null
---@field ticketCloseEmpId integer|kapture.Null who closed it; it is set in tickets that are `Pending`, too
---@field pendingTaskId integer|kapture.Null 0: none
---@field mergedTicketId string|kapture.Null the ticket that this one was merged into
---@field customerId integer|kapture.Null 0: none
---@field contactId integer|kapture.Null 0: none
---@field productId integer|kapture.Null 0: none
---@field orderId string|kapture.Null a string, unlike the other ids around it
---@field email string|kapture.Null the customer's
---@field phone string|kapture.Null the customer's
---@field ticketEmail string|kapture.Null the address that the ticket was sent from
---@field customer_rating integer|kapture.Null 0: not rated
---@field customer_feedback string|kapture.Null HTML-escaped
---@field total_conversations integer|kapture.Null
---@field lastConversationId integer|kapture.Null 0: none
---@field attachment string|kapture.Null beside `attachments`; `""` in all that is documented
---@field attachments any[]|kapture.Null
---@field url string|kapture.Null the page of the ticket in Kapture
---@field [string] any

---What the option `conversation_type` asks for. Not documented by the vendor: each may be absent.
---@class kapture.Conversations
---@field chat kapture.ChatMessage[]|kapture.Null|nil
---@field notes kapture.Note[]|kapture.Null|nil
---@field [string] any

---@class kapture.ChatMessage
---@field chat_message string|kapture.ChatFile[]|kapture.Null text, or files
---@field sender_name string|kapture.Null
---@field receiver_name string|kapture.Null
---@field sentDate string|kapture.Null
---@field [string] any

---@class kapture.ChatFile
---@field url string|kapture.Null
---@field mime string|kapture.Null
---@field message string|kapture.Null

---@class kapture.Note
---@field detail string|kapture.Null
---@field [string] any

---What a failure is of. Compare `err.kind` with these.
---@alias kapture.Kind
---| "config" token, account, base_url or a header is missing or unusable; nothing was sent
---| "invalid_ids" no ids, or a value that is no id; nothing was sent
---| "auth" the service refused the token, or it has expired
---| "forbidden" HTTP 403
---| "not_found" HTTP 404
---| "bad_request" HTTP 400 and other 4xx, or a body that says "failed"
---| "rate_limited" HTTP 429
---| "server" HTTP 5xx
---| "timeout" connecting, an attempt or the whole call took too long
---| "network" DNS, refused, reset, closed early, in the TLS handshake as well; a body shorter than promised
---| "tls" certificate, protocol version, alert
---| "protocol" the answer, or what stands in it in place of a ticket, is not what the service is documented to send
---| "too_large" a body over max_response_bytes, or nested over 1000 deep
---| "cancelled" request:cancel() was called
---| "closed" the client was closed
---| "missing" in the iterator: the service does not know this id

---One request that failed for good.
---@class kapture.Failed
---@field kind kapture.Kind
---@field message string the service's own words where it gave any
---@field status integer|nil HTTP status, where there was one
---@field retryable boolean whether the same request may succeed later
---@field attempts integer how often it was sent
---@field retry_after number|nil seconds, where the service said so
---@field ids string[] the ids that it asked for
---@field body string|nil at most the first 512 bytes of the response

---What went wrong. It holds no token.
---@class kapture.Error
---@field kind kapture.Kind
---@field message string the service's own words where it gave any
---@field status integer|nil HTTP status, where there was one
---@field retryable boolean whether the same request may succeed later
---@field attempts integer how often it was sent
---@field retry_after number|nil seconds, where the service said so
---@field ids string[] the ids that it concerns
---@field tickets kapture.Ticket[] what did arrive before or beside the failure
---@field missing string[] ids that the service does not know
---@field failed kapture.Failed[] one for each request that failed for good
---@field body string|nil at most the first 512 bytes of the response

---What comes with the tickets.
---@class kapture.Info
---@field missing string[] ids that the service does not know, in order
---@field failed kapture.Failed[]|nil with the option `partial`
---@field requests integer how many were sent
---@field retries integer how many of them were further attempts
---@field bytes integer of the responses, after decompression
---@field elapsed number seconds

---What a hook is given; each field where it applies. A request that met a dead
---connection is sent again uncounted: it has another "request" of the same attempt,
---and no "retry".
---@class kapture.Event
---@field event "request"|"response"|"retry"|"pause"|"split"|"failure"
---@field request integer the request's number in its call
---@field ids string[] those that it asks for
---@field attempt integer 1 for the first
---@field status integer|nil HTTP status
---@field kind kapture.Kind|nil what it failed of
---@field message string|nil in words
---@field bytes integer|nil of the response
---@field elapsed number|nil seconds until the response was whole
---@field delay number|nil seconds until the retry; pause: for which nothing of the client starts

---Seconds are numbers, fractions allowed; math.huge means none.
---@class kapture.Options
---@field subdomain string|nil the account's subdomain of kapturecrm.com: one DNS label ($KAPTURE_SUBDOMAIN)
---@field base_url string|nil scheme, host, port and a path prefix, instead of subdomain ($KAPTURE_BASE_URL)
---@field token string|(fun(): string)|nil as issued, or a function that returns it, called once a call ($KAPTURE_TOKEN)
---@field cookie string|nil a Cookie header's value
---@field headers table<string, string>|nil extra request headers
---@field conversation_type string|boolean|number|nil body field, passed on
---@field history_type string|boolean|number|nil body field, passed on
---@field assigned string|boolean|number|nil body field, passed on
---@field disposed string|boolean|number|nil body field, passed on
---@field response string|boolean|number|nil body field, passed on
---@field landing_queue string|boolean|number|nil body field, passed on
---@field create string|boolean|number|nil body field, passed on
---@field resolved string|boolean|number|nil body field, passed on
---@field include_emailbody string|boolean|number|nil body field, passed on
---@field body table|nil merged into the request body, encoded with lua-cjson
---@field fields string[]|nil paths such as "task_details.ticketId": only these are built (all)
---@field timeout number|nil seconds for one attempt (30)
---@field connect_timeout number|nil seconds for connecting, TLS included (10)
---@field deadline number|nil seconds for the whole call; in the iterator, for each batch (120)
---@field retries integer|nil extra attempts for a request that failed in a way that may pass, 0 to 20 (2)
---@field backoff number|nil seconds: base of the exponential pause before a retry (0.5)
---@field max_backoff number|nil seconds: the longest such pause (20)
---@field batch_size integer|nil ids in a request, 1 to 1000 (50)
---@field concurrency integer|nil requests in flight over the client, all its calls together, 1 to 256 (4)
---@field rate number|nil requests a second over the client, at most, evenly spaced
---@field partial boolean|nil return what arrived, with the failed requests in info.failed (false)
---@field isolate boolean|nil halve a failed request until the bad id stands alone (true)
---@field max_response_bytes number|nil bytes of a response after decompression, at most (64 MiB)
---@field compression boolean|nil ask for a compressed response (true)
---@field verify boolean|nil check the server's certificate and name (true)
---@field ca_file string|nil a PEM file of CA certificates, instead of the system's ($KAPTURE_CA_FILE)
---@field ca_path string|nil a directory of hashed CA certificates
---@field cert string|nil a client certificate (PEM)
---@field key string|nil its private key (PEM)
---@field proxy string|nil a proxy's URL; "" for none (environment)
---@field user_agent string|nil the User-Agent header (kapture-lua/<version>)
---@field hook fun(event: kapture.Event)|nil called for every request, response, retry, pause, split and failure

---What kapture.version() returns.
---@class kapture.Version
---@field kapture string this module's version
---@field libcurl string its version
---@field tls string|nil the TLS library and its version
---@field resolver "threaded"|"c-ares"|"blocking" how names are looked up
---@field http2 boolean whether libcurl speaks it
---@field abi string the Lua that this was built for

---Fetches tickets, and waits for them.
---@param ids kapture.Ids
---@param opts kapture.Options|nil
---@return kapture.Ticket[]|nil tickets in the order of the ids; nil on failure
---@return kapture.Info|string info_or_message
---@return kapture.Error|nil err
function kapture.get_ticket(ids, opts) end

---Any number of ids, one ticket after the other, in constant memory:
---`for id, ticket, err in kapture.tickets(ids) do`.
---@param ids kapture.Ids|fun(): (string|integer|nil)
---@param opts kapture.Options|nil
---@return kapture.Iterator
function kapture.tickets(ids, opts) end

---A client: `opts` are defaults for every call on it.
---@param opts kapture.Options|nil
---@return kapture.Client
function kapture.new(opts) end

---What this is made of.
---@return kapture.Version
function kapture.version() end

---Calls with defaults and connections of their own.
---@class kapture.Client
local Client = {}

---As kapture.get_ticket, over the client's own defaults.
---@param ids kapture.Ids
---@param opts kapture.Options|nil
---@return kapture.Ticket[]|nil tickets
---@return kapture.Info|string info_or_message
---@return kapture.Error|nil err
function Client:get_ticket(ids, opts) end

---As kapture.tickets, over the client's own defaults.
---@param ids kapture.Ids|fun(): (string|integer|nil)
---@param opts kapture.Options|nil
---@return kapture.Iterator
function Client:tickets(ids, opts) end

---Starts a call and returns at once.
---@param ids kapture.Ids
---@param opts kapture.Options|nil
---@return kapture.Request
function Client:submit(ids, opts) end

---A descriptor that is readable whenever the client has something to do.
---@return integer|nil fd nil once closed
function Client:fd() end

---Does what is due.
---@param seconds number|nil wait at most so long for something to do; 0 by default
---@return integer going how many submitted requests are still going
---@return kapture.Request[] ended those that ended since the last step
function Client:step(seconds) end

---Ends everything with kind `closed`, and wipes the token.
function Client:close() end

---For cqueues, which takes the client as a pollable.
---@return integer|nil
function Client:pollfd() end

---For cqueues.
---@return string
function Client:events() end

---For cqueues.
---@return number|nil
function Client:timeout() end

---For LuaSocket's socket.select.
---@return integer
function Client:getfd() end

---For LuaSocket's socket.select.
---@return boolean
function Client:dirty() end

---A call that goes on while others do.
---@class kapture.Request
local Request = {}

---Whether it has ended.
---@return boolean
function Request:done() end

---What get_ticket would have returned, or `nil, "pending"`.
---@return kapture.Ticket[]|nil tickets
---@return kapture.Info|string info_or_message
---@return kapture.Error|nil err
function Request:result() end

---Blocks until it has ended; then as `result`.
---@param seconds number|nil
---@return kapture.Ticket[]|nil tickets
---@return kapture.Info|string info_or_message
---@return kapture.Error|nil err
function Request:wait(seconds) end

---Ends it with kind `cancelled`; safe at any time, more than once.
function Request:cancel() end

---What kapture.tickets returns, for the loop.
---@class kapture.Iterator
---@overload fun(): (string|nil, kapture.Ticket|nil, kapture.Error|nil)
local Iterator = {}

---Cancels what is in flight.
function Iterator:close() end

return kapture
