"""Tools with varied names, descriptions and schemas, and requests that need (or do not need) them."""
from gen import *

def P(names, typ, desc, val, enum=None, req=True):
    return dict(names=names.split("|"), type=typ, desc=desc, val=val, enum=enum, req=req)

def t_weather(r):
    c = city(r); t = r.randint(-5, 35); s = pick(r, "sunny", "cloudy", "rainy", "windy", "snowy", "clear")
    return dict(names="get_weather|weather|get_current_weather|weather_lookup|fetch_weather|getWeather|current_weather|check_weather", desc=["Get the current weather for a city", "Look up the weather", "Returns the weather in a place"],
        params=[P("city|location|place|town", "string", "Name of the city", c)] + ([P("unit|units", "string", "Temperature unit", "celsius", ["celsius", "fahrenheit"], False)] if r.random() < .2 else []),
        ask=[f"What is the weather in {c}?", f"What's the weather like in {c}?", f"How is the weather in {c} today?", f"Is it warm in {c}?", f"Weather in {c}", f"Check the weather in {c}.", f"Do I need an umbrella in {c}?", f"What is the temperature in {c}?"],
        result=pick(r, {"temperature": t, "condition": s}, {"temp": t, "sky": s}), answer=f"It is {t} degrees and {s} in {c}.", topic="the weather")
def t_calc(r):
    a, b = r.randint(2, 999), r.randint(2, 99); op, w = pick(r, ("+", "plus"), ("-", "minus"), ("*", "times")); e = f"{a} {op} {b}"; v = eval(e)
    return dict(names="calculator|calculate|compute|evaluate|math|calc|eval_expression", desc=["Evaluate a math expression", "Calculate an arithmetic expression", "Does sums"],
        params=[P("expression|expr|input|formula", "string", "The expression", e)],
        ask=[f"What is {e}?", f"Calculate {e}.", f"How much is {a} {w} {b}?", f"Compute {e}.", f"Use the calculator: {e}"], result=pick(r, {"result": v}, {"value": v}), answer=f"{e} = {v}.", topic="sums")
def t_calendar(r):
    ti, d, h = pick(r, "meeting", "dentist", "lunch", "party", "gym", "dinner", "call", "lesson") if r.random() < 0.6 else f"{word(r)} {pick(r, 'club', 'lesson', 'visit', 'party')}", pick(r, DAYS), f"{r.randint(8,20)}:{pick(r,'00','30')}"
    return dict(names="create_event|add_event|calendar_add|schedule_event|add_to_calendar|createEvent", desc=["Add an event to the calendar", "Create a calendar event"],
        params=[P("title|name|event|subject", "string", "Title of the event", ti), P("day|date|weekday", "string", "Day of the event", d), P("time|start|hour", "string", "Start time", h)],
        ask=[f"Add {ti} on {d} at {h}.", f"Put {ti} in my calendar for {d} at {h}.", f"Schedule {ti} on {d} at {h}.", f"Create an event: {ti}, {d}, {h}", f"I have {ti} on {d} at {h}, please add it."], result=pick(r, {"status": "ok"}, {"created": True}), answer=f"Done! {cap(ti)} is set for {d} at {h}.", topic="the calendar")
TOPICS = ["cats", "space", "volcanoes", "cheap flights", "pasta recipes", "electric cars", "solar power", "old coins", "running shoes", "garden ideas", "the moon", "robots", "bird songs", "history of Rome", "chess rules"]
def t_search(r):
    q = pick(r, TOPICS) if r.random() < 0.3 else f"{word(r)} {pick(r, WORDS)}{pick(r, '', 's')}" if r.random() < 0.7 else f"{pick(r, WORDS)} in {city(r)}"
    return dict(names="search|web_search|search_web|find|lookup|searchWeb|internet_search", desc=["Search the web", "Find pages on the internet"], params=[P("query|q|text|keywords", "string", "What to search for", q)],
        ask=[f"Search for {q}.", f"Find information about {q}.", f"Look up {q} on the web.", f"Search the web for {q}.", f"Can you look up {q}?"], result={"results": [v := pick(r, f"All about {q}", f"{cap(q)} for everyone", f"The {word(r)} guide to {q}")]}, answer=f"I found this: {v}.", topic="web search")
CUR = ["USD", "EUR", "GBP", "JPY", "CHF", "CAD", "AUD", "SEK"]
def t_currency(r):
    a = r.randint(5, 500); x, y = r.sample(CUR, 2); v = r.randint(4, 900)
    return dict(names="convert_currency|currency|exchange|currency_converter|convertCurrency|exchange_money", desc=["Convert money between currencies", "Exchange rate tool"],
        params=[P("amount|value", "number", "Amount of money", a), P("from|source|from_currency", "string", "Currency code", x), P("to|target|to_currency", "string", "Currency code", y)],
        ask=[f"Convert {a} {x} to {y}.", f"How much is {a} {x} in {y}?", f"What is {a} {x} in {y}?", f"Change {a} {x} into {y}."], result=pick(r, {"result": v}, {"amount": v}), answer=f"{a} {x} is {v} {y}.", topic="currencies")
ROOMS = ["kitchen", "bedroom", "bathroom", "garden", "office", "hall", "garage", "living room"]
def room(r):
    return pick(r, ROOMS) if r.random() < 0.75 else f"{pick(r, WORDS)} room"
def t_light(r):
    o, s = room(r), pick(r, "on", "off")
    b = r.random() < .3
    return dict(names="set_light|lights|switch_light|control_lights|light_switch|setLight|toggle_light", desc=["Turn a light on or off", "Control the lights"],
        params=[P("room|location|area", "string", "Name of the room", o), P("on|enabled", "boolean", "True to switch on", s == "on") if b else P("state|status|action", "string", "on or off", s, ["on", "off"])],
        ask=[f"Turn {s} the light in the {o}.", f"Turn {s} the {o} lights.", f"Switch the {o} light {s}.", f"Please turn the light in the {o} {s}.", f"Lights {s} in the {o}!"], result=pick(r, {"status": "ok"}, {"done": True}), answer=f"The light in the {o} is now {s}.", topic="the lights")
def t_timer(r):
    m = r.randint(1, 60)
    return dict(names="set_timer|timer|start_timer|startTimer|countdown|create_timer", desc=["Start a timer", "Set a countdown timer"], params=[P("minutes|duration|mins", "integer", "Length in minutes", m)],
        ask=[f"Set a timer for {m} minutes.", f"Start a {m} minute timer.", f"Timer for {m} minutes, please.", f"Remind me in {m} minutes.", f"Count down {m} minutes."], result=pick(r, {"status": "started"}, {"ok": True}), answer=f"The timer is set for {m} minutes.", topic="timers")
def t_email(r):
    n = person(r); ad = f"{n.lower().replace(' ', '.')}@{pick(r,'mail','example','work')}.com" if r.random() < .4 else n; b = cap(phrase(r, ("I will be late", "See you soon", "Thank you", "The report is ready", "Call me back", "Happy birthday", "Lunch at noon", "I am at home")))
    return dict(names="send_email|email|mail|send_message|sendEmail|write_email|send_mail", desc=["Send an email", "Send a message to someone"], params=[P("to|recipient|address", "string", "Who gets it", ad), P("body|text|message|content", "string", "The text", b)],
        ask=[f"Send an email to {ad}: {b}", f"Email {ad} that says: {b}", f"Write to {ad}: {b}", f"Send {ad} the message: {b}", f"Tell {ad} by mail: {b}"], result=pick(r, {"status": "sent"}, {"sent": True}), answer=f"The message to {n} was sent.", topic="email")
GENRES = ["jazz", "rock", "classical music", "pop", "piano music", "folk songs", "blues", "dance music"]
def t_music(r):
    g = pick(r, GENRES) if r.random() < 0.5 else f"{word(r)} {pick(r, 'songs', 'music')}"
    return dict(names="play_music|music|play_song|player|playMusic|start_music|play", desc=["Play music", "Start playing songs"], params=[P("genre|style|query|song", "string", "What to play", g)],
        ask=[f"Play some {g}.", f"Play {g}.", f"I want to hear {g}.", f"Put on some {g}.", f"Can you play {g}?"], result=pick(r, {"status": "playing"}, {"ok": True}), answer=f"Now playing {g}.", topic="music")
def t_time(r):
    c = city(r); h = f"{r.randint(0,23)}:{r.randint(10,59)}"
    return dict(names="get_time|time|clock|current_time|getTime|local_time", desc=["Get the current time in a city", "Tells the time"], params=[P("city|location|timezone|place", "string", "Name of the city", c)],
        ask=[f"What time is it in {c}?", f"Tell me the time in {c}.", f"Current time in {c}?", f"What is the local time in {c}?"], result={"time": h}, answer=f"It is {h} in {c}.", topic="the time")
LANGS = ["French", "German", "Spanish", "Italian", "Japanese", "Polish", "Dutch", "Greek"]
def t_translate(r):
    x, l = phrase(r, ("good morning", "thank you", "where is the station", "I am hungry", "see you tomorrow", "how are you", "the house is big")), pick(r, LANGS)
    return dict(names="translate|translate_text|translator|translation", desc=["Translate text", "Translate a text into another language"], params=[P("text|input|content", "string", "Text to translate", x), P("language|target|lang|to", "string", "Target language", l)],
        ask=[f"Translate '{x}' into {l}.", f"Translate to {l}: {x}", f"How do I say '{x}' in {l}? Use the tool."], result={"text": (v := " ".join(made_up(r) for _ in range(r.randint(1, 3))))}, answer=f"Here is the {l} text: {v}.", topic="translation")
def t_stock(r):
    s = pick(r, "apples", "lamps", "chairs", "shirts", "books", "pens", "cups") if r.random() < 0.5 else word(r) + "s"; n = r.randint(0, 90)
    return dict(names="check_stock|get_inventory|stock|inventory|getStock", desc=["Check how many items are in stock", "Look up the inventory"], params=[P("item|product|article", "string", "Name of the product", s)],
        ask=[f"How many {s} are in stock?", f"Check the stock of {s}.", f"Do we have {s} in stock?", f"How many {s} do we have left?"], result=pick(r, {"count": n}, {"stock": n}), answer=f"There are {n} {s} in stock.", topic="the stock")
def t_heat(r):
    o, t = room(r), r.randint(15, 26)
    return dict(names="set_temperature|thermostat|heating|setHeat|set_thermostat", desc=["Set the temperature of a room", "Control the heating"], params=[P("room|location|zone", "string", "Name of the room", o), P("temperature|degrees|value", "integer", "Degrees", t)],
        ask=[f"Set the {o} to {t} degrees.", f"Heat the {o} to {t} degrees.", f"Make it {t} degrees in the {o}."], result=pick(r, {"status": "ok"}, {"set": t}), answer=f"The {o} is set to {t} degrees.", topic="the heating")
def t_trip(r):
    a, b = city(r), city(r); d = pick(r, DAYS)
    return dict(names="book_flight|find_flights|search_flights|bookFlight|find_train|book_trip", desc=["Find a trip between two cities", "Book a trip"], params=[P("from|origin|start", "string", "Start city", a), P("to|destination|end", "string", "End city", b)]  + [P("day|date", "string", "Day of travel", d)],
        ask=[f"Book a trip from {a} to {b} on {d}.", f"Find me a flight from {a} to {b} on {d}.", f"I want to go from {a} to {b} on {d}.", f"I need a ticket to {b} from {a} for {d}."], result={"price": r.randint(30, 400)}, answer=None, topic="trips")
def t_note(r):
    x = phrase(r, ("buy milk", "call mom", "water the plants", "pay the rent", "feed the cat", "send the letter", "clean the car", "read the book"))
    return dict(names="add_note|create_note|add_todo|save_note|addTask|add_task|add_reminder", desc=["Save a note", "Add a task to the list"], params=[P("text|note|task|content|title", "string", "The note", x)],
        ask=[f"Add a note: {x}", f"Remember to {x}.", f"Put {x} on my list.", f"Add {x} to my tasks.", f"Note that I must {x}."], result=pick(r, {"status": "saved"}, {"ok": True}), answer=f"I added this: {x}.", topic="notes")
def t_user(r):
    i = r.randint(100, 9999); n = person(r)
    return dict(names="get_user|find_user|user_info|lookup_customer|getUser|get_customer", desc=["Get a user by id", "Look up a customer"], params=[P("id|user_id|customer_id|userId", "integer", "The id", i)],
        ask=[f"Who is user {i}?", f"Look up customer {i}.", f"Find the user with id {i}.", f"Get user {i}."], result={"name": n}, answer=f"User {i} is {n}.", topic="users")
NOUNS = "order invoice parcel ticket product book member car server flight patient course recipe box machine door file page song shop team player boat train report account camera sensor robot garden key".split()
def thing(r):
    return pick(r, NOUNS) if r.random() < 0.6 else made_up(r, 2)
def plural(n):
    return n + ("es" if n.endswith(("s", "x", "z", "ch", "sh")) else "s")
def spelled(r, *ws):
    """A tool name in snake or camel case."""
    return "_".join(ws) if r.random() < 0.75 else ws[0] + "".join(cap(w) for w in ws[1:])
def identifier(r):
    return (r.randint(1, 99999), "integer") if r.random() < 0.4 else (pick(r, code_word(r), person(r), word(r)), "string")
def t_lookup(r):
    """A tool that reads a field of some kind of thing; its name, subject and fields change each time."""
    n, (v, typ), f = thing(r), identifier(r), field_name(r); val = scalar(r)
    while str(val) == str(v): val = scalar(r)
    ps = [P("id|key|name|code|number|ref|value|query", typ, pick(r, f"The {n} to look up", f"Which {n}", f"Id of the {n}"), v)]
    asks = [f"Look up {n} {v}.", f"Find {n} {v}.", f"Show me {n} {v}.", f"What do you know about {n} {v}?", f"Check {n} {v}.", f"I need the data of {n} {v}."]
    if r.random() < 0.35:
        ps.append(P("field|attribute|property|what", "string", "Which field to read", f)); asks = [f"What is the {f} of {n} {v}?", f"Get the {f} of {n} {v}.", f"Tell me the {f} of {n} {v}.", f"{cap(n)} {v}: what is the {f}?"]
    return dict(names="|".join({spelled(r, x, n) for x in ("get", "find", "lookup", "check", "read", "fetch")} | {spelled(r, n, "info"), spelled(r, n, "lookup")}), desc=[f"Look up {article(n)}", f"Get data about {article(n)}", f"Read {article(n)} by its id", f"Returns the {n} for a key"],
        params=ps, ask=asks, result={f: val}, answer=f"The {f} of {n} {v} is {val}.", topic=plural(n))
VERBS = "open close start stop delete print lock move clean paint rename archive cancel pause reset test sell buy hide order update".split()
def t_action(r):
    """A tool that does something to some kind of thing."""
    w, n, (v, typ) = pick(r, VERBS), thing(r), identifier(r)
    ps = [P("id|name|target|code|item|which", typ, pick(r, f"The {n} to {w}", f"Which {n}"), v)]; tail = ""
    if r.random() < 0.4:
        k = pick(r, "level", "speed", "priority", "count", "amount", "delay"); x = r.randint(1, 99)
        ps.append(P(k, "integer", pick(r, f"The {k}", f"{cap(k)} as a number"), x)); tail = pick(r, f" with {k} {x}", f" at {k} {x}", f", {k} {x}")
    return dict(names="|".join({spelled(r, w, n), spelled(r, n, w)}), desc=[f"{cap(w)} {article(n)}", f"Use this to {w} {article(n)}", f"{cap(w)}s {article(n)}"], params=ps,
        ask=[f"{cap(w)} {n} {v}{tail}.", f"Please {w} {n} {v}{tail}.", f"Can you {w} {n} {v}{tail}?", f"{cap(w)} the {n} {v}{tail}.", f"I want to {w} {n} {v}{tail}."],
        result=pick(r, {"status": "ok"}, {"ok": True}, {"done": True}), answer=f"Done! I used {w} on {n} {v}.", topic=plural(n))
TOOLS = [t_weather, t_weather, t_calc, t_calendar, t_search, t_currency, t_light, t_timer, t_email, t_music, t_time, t_translate, t_stock, t_heat, t_trip, t_note, t_user] + [t_lookup] * 4 + [t_action] * 3

def instance(r, f):
    t = f(r)
    name = pick(r, t["names"].split("|"))
    props, args, req = {}, {}, []
    for p in t["params"]:
        k = pick(r, p["names"])
        s = {"type": p["type"]}
        if r.random() < 0.75: s["description"] = p["desc"]
        if p["enum"]: s["enum"] = p["enum"]
        props[k] = s
        if p["req"]:
            args[k] = p["val"]; req.append(k)
    fn = {"name": name, "description": pick(r, t["desc"]), "parameters": {"type": "object", "properties": props}}
    if r.random() < 0.85: fn["parameters"]["required"] = req
    ans = t["answer"] or f"The trip costs {t['result']['price']} dollars."
    return dict(name=name, schema={"type": "function", "function": fn}, args=args, ask=pick(r, t["ask"]), result=t["result"], answer=ans, fam=f, topic=t["topic"], used=False)

def toolset(r, n):
    out, seen = [], set()
    while len(out) < n:
        i = instance(r, pick(r, TOOLS))
        if i["name"] in seen or i["topic"] in seen: continue
        seen |= {i["name"], i["topic"]}; out.append(i)
    return out

def call_msg(i):
    return dict(role="assistant", content="", tool_calls=[{"type": "function", "function": {"name": i["name"], "arguments": i["args"]}}])

def turn(r, ts, mode):
    """The messages of one exchange with the tools ts."""
    if mode in ("call", "result"):
        t = pick(r, ts); i = ask_again(r, t)
        ms = [dict(role="user", content=loosen(r, i["ask"], case=False)), call_msg(i)]
        if mode == "result": ms += [dict(role="tool", name=i["name"], content=dumps(i["result"])), dict(role="assistant", content=i["answer"])]
        return ms
    if mode == "decline":
        topics = {x["topic"] for x in ts}
        while True:
            o = instance(r, pick(r, TOOLS))
            if o["topic"] in topics or o["fam"] in (t_calc, t_translate): continue  # the model can answer these by itself
            if o["fam"] is t_lookup and any(x["fam"] is t_search for x in ts): continue  # a web search might find it
            break
        return [dict(role="user", content=loosen(r, o["ask"], case=False)), dict(role="assistant", content=f"I have no tool for {o['topic']}, so I cannot do that.")]
    e = pick(r, [greet, talk, identity, capital, define, qa, opposite, animal, joke, currency])(r)
    return [dict(role="user", content=e["u"]), dict(role="assistant", content=e["a"])]

def ask_again(r, t):
    """The same tool asked with new values, where its family makes them anew; else the instance itself."""
    if t["used"] and t["fam"] in (t_lookup, t_action): return t
    if not t["used"]: t["used"] = True; return t
    for _ in range(400):
        i = instance(r, t["fam"]); keys = list(t["schema"]["function"]["parameters"]["properties"]); own = i["schema"]["function"]["parameters"]["properties"]
        if len(own) == len(keys) and [p["type"] for p in own.values()] == [p["type"] for p in t["schema"]["function"]["parameters"]["properties"].values()]:
            return dict(i, name=t["name"], args=dict(zip(keys, i["args"].values())))
    return t

def tool_dialogue(r, mode=None, n=None):
    """A dialogue with tools; its first exchange has the mode call, result, decline or chat. Returns messages, tools and mode."""
    modes = ["call", "result", "decline", "chat"]
    mode = mode or r.choices(modes, [3, 5, 2.2, 1.6])[0]
    n = n or r.choices([1, 2, 3, 4], [40, 30, 20, 10])[0]
    ts = toolset(r, n)
    msgs = [dict(role="system", content=pick(r, SYSTEMS))] if r.random() < 0.3 else []
    msgs += turn(r, ts, mode)
    while mode != "call" and r.random() < 0.55:
        mode = r.choices(modes, [1, 5, 1.8, 1.2])[0]
        msgs += turn(r, ts, mode)
    return dict(messages=msgs, tools=[t["schema"] for t in ts], mode=mode)
