-- The words that tickets are made of, as JSON string contents: escaped for
-- JSON here once, HTML-escaped as the service does.
local M = {}

M.titles = {
    "Refund not received", "TEST 1", "Order delayed &amp; no update", "Can&apos;t log in to the app",
    "App crashes on \\\"Pay now\\\"", "Wrong item delivered", "ऑर्डर अभी तक नहीं मिला", "Charged twice 😡",
    "Invoice copy needed", "Re: Re: Fwd: Warranty claim #4471", "पैसे वापस कब मिलेंगे?",
    "KYC &lt;pending&gt; since 3 weeks",
    "Address change", "Great service 👍🏽", "Technician didn&#39;t show up", "Payment failed but amount debited",
    "SIM not activated", "\\u0917\\u094d\\u0930\\u093e\\u0939\\u0915 \\u0938\\u0947\\u0935\\u093e",
    "Cancel my subscription",
    "Coupon \\\"SAVE20\\\" rejected",
}

M.names = {
    "Kapture Dev API&apos;s", "Asha Rao", "Rahul Verma", "Priya D&apos;Souza", "प्रिया शर्मा", "Mohammed Irfan",
    "J. Fernandes", "Sana Khan", "अनिल कुमार", "Team &quot;L2&quot;", "Zoë Brandt", "Li 李 Wei",
}

M.sources = { "Mobile App", "Email", "Chat", "Call", "WhatsApp", "Facebook", "Web Form" }
M.queues = { "", "", "L1 Support", "Billing &amp; Payments", "Logistics", "एस्केलेशन", "VIP" }
M.priorities = { "low", "low", "medium", "high", "urgent" }
M.dispositions = { "Inbox", "Billing/Refund", "Delivery/Late", "Product &gt; Defect", "Query", "Complaint" }
M.substatuses = { "Pending", "Awaiting Customer", "In Progress", "Resolved", "Closed", "Reopened" }
M.substatus_keys = { "PS", "AC", "IP", "RS", "CL", "RO" }
M.tats = { "", "", "0:1:29", "2:14:05", "1 day 4 hours", "0:0:0" }
M.slas = { "", "", "4:0:0", "24:0:0", "out of sla" }

M.sentences = {
    "Customer says the parcel was marked delivered but nothing arrived.",
    "Please check &amp; confirm.",
    "ग्राहक ने बताया कि ऐप में भुगतान विफल दिखा रहा है।",
    "Amount Rs. 1,499.00 was debited on 12/03.",
    "Screenshot attached; see \\\"error 0x80\\\\42\\\".",
    "Called back twice, no answer 📞.",
    "Refund initiated, 5-7 working days.",
    "Path C:\\\\Temp\\\\app.log says &lt;null&gt;.",
    "कृपया जल्दी समाधान करें 🙏",
    "Escalated to L2 as per SLA.",
    "The agent&apos;s reply was not helpful at all.",
    "Kunde wünscht Rückruf nach 18 Uhr.",
    "Link: https:\\/\\/example.com\\/track?id=42&amp;lang=hi",
    "नमस्ते, मेरा ऑर्डर कहाँ है?",
    "Ok 👍",
    "Temperature was 40\\u00b0C in the van \\ud83d\\ude9a.",
}

-- Paragraphs of mail bodies: HTML as the service escapes it, with the line
-- ends and quotes that mails have.
M.paragraphs = {
    "&lt;p&gt;Dear Team,&lt;/p&gt;\\r\\n&lt;p&gt;I have been waiting for my refund since last month. " ..
        "The order was cancelled by your own agent &amp; I was told that it takes seven days.&lt;/p&gt;\\r\\n",
    "\\u003cdiv style=\\\"font-family:Arial,sans-serif;font-size:13px\\\"\\u003eHello,\\u003cbr\\u003e" ..
        "please find attached the invoice.\\u003c/div\\u003e\\n",
    "&gt; On Mon, 12 Aug 2024 at 10:12, Support &lt;support@example.com&gt; wrote:\\r\\n&gt; " ..
        "Thank you for writing to us. Your request has been registered and our team will get back to you " ..
        "within twenty-four working hours.\\r\\n",
    "महोदय, मैंने पिछले सप्ताह एक मोबाइल मंगवाया था जो अब तक नहीं पहुँचा है। " ..
        "कृपया बताएं कि मेरा ऑर्डर कब तक मिलेगा।\\n",
    "\\t&bull; Order: OD123456789\\r\\n\\t&bull; Amount: \\u20b9 1,499\\r\\n\\t&bull; Mode: UPI\\r\\n",
    "Regards,\\r\\nAsha 😊\\r\\n\\r\\n-- \\r\\nThis e-mail and any attachment may be confidential. If you are " ..
        "not the intended recipient, please delete it and tell the sender; any copying, disclosure or " ..
        "distribution of it is not allowed.\\r\\n",
    "&lt;table width=\\\"100%\\\" cellpadding=\\\"0\\\" cellspacing=\\\"0\\\" border=\\\"0\\\"&gt;" ..
        "&lt;tr&gt;&lt;td&gt;&lt;img src=\\\"https:\\/\\/cdn.example.com\\/logo.png\\\" alt=\\\"\\\"&gt;" ..
        "&lt;/td&gt;&lt;/tr&gt;&lt;/table&gt;\\n",
    "The quick answer to your question is that the device is covered by the warranty until the end of the year, " ..
        "that the repair itself takes about ten days from the moment it reaches our workshop, and that a courier " ..
        "will call you one day before the pick-up to agree on a time that suits you.\\n",
}

-- Groups of additional_info, with the fields each may have.
M.groups = {
    { "partner_details", "mapped_partner_name", "zone", "partner_id", "city", "onboarded_on", "tier" },
    { "order", "order_no", "amount", "currency", "payment_mode", "coupon", "items", "delivered" },
    { "customer profile", "segment", "language", "preferred_time", "भाषा", "loyalty_points" },
    { "device", "make", "model", "os_version", "imei", "app_version" },
    { "feedback_form", "question_1", "question_2", "remarks", "score", "submitted_at" },
}

M.values = {
    '""', '"N/A"', '"Yes"', '"No"', "null", "0", "1", '"1499.00"', "1499", '"Bengaluru"', '"दिल्ली"', '"UPI"',
    '"Hindi"', "-1", "99.5", "true", "false", '"A. Yes &amp; happy"', '"2020-05-23 12:37"', '"356938035643809"',
    '"Android 14"', '"🙂"', '[]', '{}', '["a","b"]',
}

return M
