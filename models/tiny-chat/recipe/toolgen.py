"""Tools with varied names, descriptions and schemas, and requests that need (or do not need) them.

A family is a function of a random source that returns one use of a kind of tool, with new values each time:
  names, desc   ways to name and to describe the tool
  params        its parameters (P)
  ask           ways to ask for it; more: short ways to ask for it again
  result        what the tool gives back; answer: what the model then says
  topic         what it is about, for declining; purpose: no two tools of a dialogue share it
A maker is a function that invents a family: subject, names and parameters are new with each dialogue.
"""
from gen import *

def P(names, typ, desc, val, enum=None, req=True, use=None, **more):
    """A parameter; use: whether the call gives it (else only required ones are given); more: further keywords of its schema."""
    return dict(names=names.split("|"), type=typ, desc=desc if isinstance(desc, list) else [desc], val=val, enum=enum, req=req, use=req if use is None else use, more=more)

def T(names, desc, params, ask, result, answer, topic, more=(), purpose=None):
    return dict(names=names.split("|"), desc=desc, params=params, ask=ask, result=result, answer=answer, topic=topic, more=list(more), purpose=purpose or topic)

def listed(xs):
    xs = [str(x) for x in xs]
    return xs[0] if len(xs) == 1 else ", ".join(xs[:-1]) + " and " + xs[-1]

OK = [{"status": "ok"}, {"ok": True}, {"done": True}, {"success": True}, {"status": "success"}]
CITY = ["Name of the city", "The city", "City name", "The city to look at", "The city and country, e.g. Paris, France", "The city and state, e.g. San Francisco, CA", "City, for example Berlin", "The name of the city, e.g. London"]

# ---------------------------------------------------------------- families
SKY = ["sunny", "cloudy", "rainy", "windy", "snowy", "clear", "foggy", "stormy"]
def t_weather(r):
    c, t, s, w = city(r), r.randint(-15, 40), pick(r, SKY), r.randint(0, 60); unit = r.random() < 0.45; says = unit and r.random() < 0.4
    u = pick(r, "celsius", "fahrenheit"); tail = f" in {u}" if says else ""; must = unit and r.random() < 0.3
    ps = [P("city|location|place|town|city|location", "string", CITY, c)]
    if unit: ps.append(P("unit|units|format|temperature_unit", "string", ["Temperature unit", "The temperature unit to use", "Unit of the temperature"], u if says else "celsius", ["celsius", "fahrenheit"], must, must or says))
    ask = [f"What is the weather in {c}{tail}?", f"What's the weather in {c}{tail}?", f"What's the weather like in {c}{tail}?", f"How is the weather in {c}{tail} today?", f"Weather in {c}{tail}", f"Check the weather in {c}{tail}.", f"What is the temperature in {c}{tail}?", f"What's the weather in {c} right now{tail}?", f"What is the weather like in {c} today{tail}?", f"Tell me the weather in {c}{tail}.", f"How warm is it in {c}{tail}?", f"Get the current weather in {c}{tail}.", f"I want to know the weather in {c}{tail}.", f"Could you check what the weather is like in {c}{tail}?", f"What's the current temperature in {c}{tail}?", f"How's the weather in {c}{tail}?"]
    if not says: ask += [f"Is it warm in {c}?", f"Is it cold in {c}?", f"Do I need an umbrella in {c}?", f"Is it raining in {c}?", f"I am going to {c}. How is the weather there?"]
    res = pick(r, {"temperature": t, "condition": s}, {"temp": t, "sky": s}, {"city": c, "temperature": t, "condition": s}, {"location": c, "temperature": t, "conditions": s, "wind": w}, {"temp_c": t, "conditions": s}, {"location": c, "current": {"temperature": t, "condition": s}},
               {"temperature": t, "unit": u if says else "celsius", "condition": s}, {"weather": {"sky": s, "temp": t, "humidity": r.randint(10, 99)}}, {"conditions": s, "temperature": t}, {"city": c, "temp": t, "sky": s})
    ans = f"It is {t} degrees and {s} in {c}."; x = r.random()
    if x < 0.12: res, ans = pick(r, {"temperature": t}, {"city": c, "degrees": t}, {"temp": t, "unit": u if says else "celsius"}, {"location": c, "temperature": str(t)}), f"It is {t} degrees in {c}."
    elif x < 0.2: res, ans = pick(r, {"condition": s}, {"city": c, "weather": s}, {"conditions": s}), f"It is {s} in {c}."
    return T("get_weather|get_weather|weather|get_current_weather|weather_lookup|fetch_weather|getWeather|current_weather|check_weather|getCurrentWeather", ["Get the current weather for a city", "Look up the weather", "Returns the weather in a place", "Get the current weather in a given location", "Get the weather", "Current temperature and sky of a city", "Get current temperature for a given location."],
             ps, ask, res, ans, "the weather", [] if says else [f"And in {c}?", f"What about {c}?", f"And {c}?", f"How about {c}?"])
def t_forecast(r):
    c, d, s = city(r), r.randint(2, 10), pick(r, SKY)
    return T("get_forecast|weather_forecast|forecast|getForecast|forecast_weather", ["Get the weather forecast for the next days", "Forecast the weather of a city", "Returns the forecast for a number of days"], [P("city|location|place", "string", CITY, c), P("days|num_days|count", "integer", ["Number of days", "How many days ahead"], d)],
             [f"What is the forecast for {c} for the next {d} days?", f"Give me the {d} day forecast for {c}.", f"How will the weather be in {c} over {d} days?", f"Forecast for {c}, {d} days", f"Show the weather forecast of {c} for {d} days."], {"forecast": s, "days": d}, f"The forecast for {c} is {s} for the next {d} days.", "the forecast")
def t_calc(r):
    a, b = r.randint(2, 9999), r.randint(2, 999); op, w = pick(r, ("+", "plus"), ("-", "minus"), ("*", "times")); e = f"{a} {op} {b}"; v = eval(e)
    return T("calculator|calculate|compute|evaluate|math|calc|eval_expression", ["Evaluate a math expression", "Calculate an arithmetic expression", "Does sums"], [P("expression|expr|input|formula", "string", ["The expression", "The math expression, e.g. 2 + 2"], e)],
             [f"What is {e}?", f"Calculate {e}.", f"How much is {a} {w} {b}?", f"Compute {e}.", f"Use the calculator: {e}"], pick(r, {"result": v}, {"value": v}, {"expression": e, "result": v}), f"{e} = {v}.", "sums")
def t_math(r):
    w, sign = pick(r, ("add", "+"), ("subtract", "-"), ("multiply", "*")); a, b = r.randint(2, 999), r.randint(2, 99); v = eval(f"{a} {sign} {b}")
    say = {"add": [f"Add {a} and {b}.", f"What is {a} plus {b}?"], "subtract": [f"Subtract {b} from {a}.", f"What is {a} minus {b}?"], "multiply": [f"Multiply {a} by {b}.", f"What is {a} times {b}?"]}[w]
    return T(f"{w}|{w}_numbers|{w}Numbers", [f"{cap(w)} two numbers", f"{cap(w)}s two numbers and gives the result"], [P("a|x|first|left", pick(r, "number", "integer"), ["The first number", "First number"], a), P("b|y|second|right", "number", ["The second number", "Second number"], b)],
             say + [f"What is {a} {sign} {b}?", f"Calculate {a} {sign} {b}."], pick(r, {"result": v}, {"value": v}), f"{a} {sign} {b} = {v}.", "sums")
def t_calendar(r):
    ti, d, h = pick(r, "meeting", "dentist", "lunch", "party", "gym", "dinner", "call", "lesson") if r.random() < 0.5 else f"{word(r)} {pick(r, 'club', 'lesson', 'visit', 'party')}", pick(r, DAYS), f"{r.randint(8,20)}:{pick(r,'00','30')}"
    ps = [P("title|name|event|subject|summary", "string", ["Title of the event", "What the event is called"], ti), P("day|date|weekday", "string", ["Day of the event", "The weekday"], d), P("time|start|hour|start_time", "string", ["Start time", "When it starts, e.g. 9:00"], h)]
    who = [person(r) for _ in range(r.randint(1, 3))]; tail = ""; has = r.random() < 0.3; says = has and r.random() < 0.7
    if has: ps.append(P("attendees|guests|people|participants", "array", ["Names of the guests", "Who takes part"], who, req=False, use=says, items={"type": "string"}))
    if says: tail = f" with {listed(who)}"
    return T("create_event|add_event|calendar_add|schedule_event|add_to_calendar|createEvent|create_calendar_event", ["Add an event to the calendar", "Create a calendar event", "Schedules an event"], ps,
        [f"Add {ti} on {d} at {h}{tail}.", f"Put {ti} in my calendar for {d} at {h}{tail}.", f"Schedule {ti} on {d} at {h}{tail}.", f"Create an event: {ti}, {d}, {h}{tail}", f"I have {ti} on {d} at {h}{tail}, please add it."], pick(r, *OK, {"created": True}), f"Done! {cap(ti)} is set for {d} at {h}.", "the calendar")
TOPICS = ["cats", "space", "volcanoes", "cheap flights", "pasta recipes", "electric cars", "solar power", "old coins", "running shoes", "garden ideas", "the moon", "robots", "bird songs", "history of Rome", "chess rules"]
def t_search(r):
    q = pick(r, TOPICS) if r.random() < 0.3 else f"{word(r)} {pick(r, WORDS)}{pick(r, '', 's')}" if r.random() < 0.7 else f"{pick(r, WORDS)} in {city(r)}"
    v = pick(r, f"All about {q}", f"{cap(q)} for everyone", f"The {word(r)} guide to {q}"); k = r.randint(1, 20); has = r.random() < 0.3; says = has and r.random() < 0.5; tail = f" and give me {k} results" if says else ""
    ps = [P("query|q|text|keywords|search_query", "string", ["What to search for", "The search query", "Search terms"], q)]
    if has: ps.append(P("limit|max_results|count|num_results", "integer", ["How many results", "Maximum number of results"], k, req=False, use=says))
    return T("search|web_search|search_web|find|lookup|searchWeb|internet_search|google_search", ["Search the web", "Find pages on the internet", "Search the web for a query"], ps,
        [f"Search for {q}{tail}.", f"Find information about {q}{tail}.", f"Look up {q} on the web{tail}.", f"Search the web for {q}{tail}.", f"Can you look up {q}{tail}?"], pick(r, {"results": [v]}, {"results": [{"title": v}]}, {"title": v}), f"I found this: {v}.", "web search")
CUR = ["USD", "EUR", "GBP", "JPY", "CHF", "CAD", "AUD", "SEK"]
def t_currency(r):
    a = r.randint(5, 500); x, y = r.sample(CUR, 2); v = pick(r, r.randint(4, 900), round(r.uniform(2, 900), 2))
    return T("convert_currency|currency|exchange|currency_converter|convertCurrency|exchange_money", ["Convert money between currencies", "Exchange rate tool", "Converts an amount of money"],
        [P("amount|value", "number", ["Amount of money", "The amount"], a), P("from|source|from_currency|base", "string", ["Currency code", "Code of the currency to convert from"], x), P("to|target|to_currency", "string", ["Currency code", "Code of the currency to convert to"], y)],
        [f"Convert {a} {x} to {y}.", f"How much is {a} {x} in {y}?", f"What is {a} {x} in {y}?", f"Change {a} {x} into {y}."], pick(r, {"result": v}, {"amount": v}, {"amount": v, "currency": y}), f"{a} {x} is {v} {y}.", "currencies")
ROOMS = ["kitchen", "bedroom", "bathroom", "garden", "office", "hall", "garage", "living room"]
def room(r):
    return pick(r, ROOMS) if r.random() < 0.6 else f"{word(r)} room"
def t_light(r):
    o, s = room(r), pick(r, "on", "off")
    ps = [P("room|location|area", "string", ["Name of the room", "Which room"], o), P("on|enabled|is_on", "boolean", ["True to switch on", "Whether the light is on"], s == "on") if r.random() < .4 else P("state|status|action", "string", ["on or off", "The new state"], s, ["on", "off"])]
    b = r.randint(1, 100); has = s == "on" and r.random() < 0.25; tail = f" at {b} percent" if has else ""
    if has: ps.append(P("brightness|level|dim", "integer", ["Brightness in percent", "Brightness from 0 to 100"], b, req=False, use=True, minimum=0, maximum=100))
    ask = [f"Turn {s} the light in the {o}{tail}.", f"Turn {s} the {o} lights{tail}.", f"Switch the {o} light {s}{tail}.", f"Please turn the light in the {o} {s}{tail}.", f"Lights {s} in the {o}{tail}!"]
    return T("set_light|lights|switch_light|control_lights|light_switch|setLight|toggle_light|set_lights", ["Turn a light on or off", "Control the lights", "Switches the light of a room"], ps, ask, pick(r, *OK), f"The light in the {o} is now {s}.", "the lights")
def t_timer(r):
    m = r.randint(1, 90)
    return T("set_timer|timer|start_timer|startTimer|countdown|create_timer", ["Start a timer", "Set a countdown timer"], [P("minutes|duration|mins|duration_minutes", "integer", ["Length in minutes", "How many minutes"], m)],
        [f"Set a timer for {m} minutes.", f"Start a {m} minute timer.", f"Timer for {m} minutes, please.", f"Remind me in {m} minutes.", f"Count down {m} minutes."], pick(r, {"status": "started"}, *OK), f"The timer is set for {m} minutes.", "timers")
def t_alarm(r):
    h = f"{r.randint(4, 11)}:{pick(r, '00', '15', '30', '45')}"; rep = r.random() < 0.5
    ps = [P("time|at|hour", "string", ["Time of the alarm", "When to ring, e.g. 6:30"], h)] + ([P("repeat|daily|every_day", "boolean", ["Whether it rings every day", "True to ring every day"], rep, req=False, use=rep)] if rep or r.random() < 0.4 else [])
    tail = " every day" if rep else ""
    return T("set_alarm|alarm|create_alarm|setAlarm|wake_up", ["Set an alarm", "Rings at a time"], ps, [f"Set an alarm for {h}{tail}.", f"Wake me at {h}{tail}.", f"I need an alarm at {h}{tail}.", f"Alarm at {h}{tail}, please."], pick(r, *OK), f"The alarm is set for {h}.", "alarms")
def t_email(r):
    n = person(r); ad = f"{n.lower().replace(' ', '.')}@{pick(r,'mail','example','work')}.com" if r.random() < .4 else n; b = cap(phrase(r, ("I will be late", "See you soon", "Thank you", "The report is ready", "Call me back", "Happy birthday", "Lunch at noon", "I am at home")))
    ps = [P("to|recipient|address", "string", ["Who gets it", "The recipient", "Email address or name"], ad)]; s = cap(phrase(r)); sub = r.random() < 0.3
    if sub: ps.append(P("subject|title", "string", ["The subject line", "Subject of the message"], s))
    ps.append(P("body|text|message|content", "string", ["The text", "The text of the message"], b))
    if sub: ask = [f"Send an email to {ad} with the subject '{s}' and the text '{b}'.", f"Email {ad}. Subject: {s}. Text: {b}", f"Write to {ad}, subject {s}: {b}"]
    else: ask = [f"Send an email to {ad}: {b}", f"Email {ad} that says: {b}", f"Write to {ad}: {b}", f"Send {ad} the message: {b}", f"Tell {ad} by mail: {b}"]
    return T("send_email|email|mail|send_message|sendEmail|write_email|send_mail", ["Send an email", "Send a message to someone"], ps, ask, pick(r, {"status": "sent"}, {"sent": True}, *OK), f"The message to {ad} was sent.", "email")
GENRES = ["jazz", "rock", "classical music", "pop", "piano music", "folk songs", "blues", "dance music"]
def t_music(r):
    g = pick(r, GENRES) if r.random() < 0.4 else f"{word(r)} {pick(r, 'songs', 'music')}"
    return T("play_music|music|play_song|player|playMusic|start_music|play", ["Play music", "Start playing songs"], [P("genre|style|query|song", "string", ["What to play", "Style of music"], g)],
        [f"Play some {g}.", f"Play {g}.", f"I want to hear {g}.", f"Put on some {g}.", f"Can you play {g}?"], pick(r, {"status": "playing"}, *OK), f"Now playing {g}.", "music")
def t_time(r):
    c = city(r); h = f"{r.randint(0,23)}:{r.randint(10,59)}"
    return T("get_time|time|clock|current_time|getTime|local_time|get_current_time", ["Get the current time in a city", "Tells the time", "Returns the local time"], [P("city|location|timezone|place", "string", CITY, c)],
        [f"What time is it in {c}?", f"Tell me the time in {c}.", f"Current time in {c}?", f"What is the local time in {c}?", f"What's the time in {c}?"], pick(r, {"time": h}, {"city": c, "time": h}, {"local_time": h}), f"It is {h} in {c}.", "the time", [f"And in {c}?", f"What about {c}?", f"And {c}?"])
LANGS = ["French", "German", "Spanish", "Italian", "Japanese", "Polish", "Dutch", "Greek"]
def t_translate(r):
    x, l = phrase(r, ("good morning", "thank you", "where is the station", "I am hungry", "see you tomorrow", "how are you", "the house is big")), pick(r, LANGS); v = " ".join(made_up(r) for _ in range(r.randint(1, 3)))
    return T("translate|translate_text|translator|translation", ["Translate text", "Translate a text into another language"], [P("text|input|content", "string", ["Text to translate", "The text"], x), P("language|target|lang|to|target_language", "string", ["Target language", "Language to translate into"], l)],
        [f"Translate '{x}' into {l}.", f"Translate to {l}: {x}", f"How do I say '{x}' in {l}? Use the tool."], pick(r, {"text": v}, {"translation": v}), f"Here is the {l} text: {v}.", "translation")
def t_stock(r):
    s = pick(r, "apples", "lamps", "chairs", "shirts", "books", "pens", "cups") if r.random() < 0.4 else word(r) + "s"; n = r.randint(0, 900)
    return T("check_stock|get_inventory|stock|inventory|getStock", ["Check how many items are in stock", "Look up the inventory"], [P("item|product|article", "string", ["Name of the product", "Which product"], s)],
        [f"How many {s} are in stock?", f"Check the stock of {s}.", f"Do we have {s} in stock?", f"How many {s} do we have left?"], pick(r, {"count": n}, {"stock": n}, {"item": s, "quantity": n}), f"There are {n} {s} in stock.", "the stock", [f"And {s}?", f"What about {s}?"])
def t_price(r):
    s = "".join(pick(r, "ABCDEFGHKLMNPRSTVXZ") for _ in range(r.randint(2, 4))); v = round(r.uniform(1, 900), 2)
    return T("get_stock_price|stock_price|getStockPrice|share_price|quote", ["Get the price of a share", "Current stock price of a company"], [P("symbol|ticker", "string", ["Ticker symbol", "The symbol, e.g. ABC"], s)],
        [f"What is the stock price of {s}?", f"How much is {s} trading for?", f"Price of {s} shares?", f"Get the share price of {s}."], pick(r, {"price": v}, {"symbol": s, "price": v}), f"The price of {s} is {v}.", "share prices", [f"And {s}?", f"What about {s}?"])
def t_heat(r):
    o, t = room(r), r.randint(15, 26)
    return T("set_temperature|thermostat|heating|setHeat|set_thermostat", ["Set the temperature of a room", "Control the heating"], [P("room|location|zone", "string", ["Name of the room", "Which room"], o), P("temperature|degrees|value", pick(r, "integer", "number"), ["Degrees", "Target temperature"], t)],
        [f"Set the {o} to {t} degrees.", f"Heat the {o} to {t} degrees.", f"Make it {t} degrees in the {o}."], pick(r, *OK, {"set": t}), f"The {o} is set to {t} degrees.", "the heating")
def t_trip(r):
    a, b = city(r), city(r); d = pick(r, DAYS); p = r.randint(30, 900); k = r.randint(2, 6); has = r.random() < 0.3; tail = f" for {k} people" if has else ""
    ps = [P("from|origin|start|departure", "string", ["Start city", "Where the trip starts"], a), P("to|destination|end|arrival", "string", ["End city", "Where the trip goes"], b), P("day|date", "string", ["Day of travel", "Which day"], d)]
    if has: ps.append(P("passengers|people|travelers", "integer", ["Number of people", "How many travel"], k, req=False, use=True))
    return T("book_flight|find_flights|search_flights|bookFlight|find_train|book_trip", ["Find a trip between two cities", "Book a trip"], ps,
        [f"Book a trip from {a} to {b} on {d}{tail}.", f"Find me a flight from {a} to {b} on {d}{tail}.", f"I want to go from {a} to {b} on {d}{tail}.", f"I need a ticket to {b} from {a} for {d}{tail}."], pick(r, {"price": p}, {"price": p, "currency": "USD"}), f"The trip costs {p} dollars.", "trips")
def t_hotel(r):
    c, n, g = city(r), r.randint(1, 14), r.randint(1, 5); i = code_word(r); b = r.random() < 0.4; yes = r.random() < 0.6
    ps = [P("city|location|destination", "string", CITY, c), P("nights|num_nights|days", "integer", ["Number of nights", "How many nights"], n), P("guests|people|persons", "integer", ["Number of guests", "How many people"], g)]; tail = ""
    if b: ps.append(P("breakfast|with_breakfast", "boolean", ["Whether breakfast is included", "True for breakfast"], yes)); tail = " with breakfast" if yes else " without breakfast"
    s = "" if n == 1 else "s"; p = "person" if g == 1 else "people"
    return T("book_hotel|find_hotel|reserve_room|bookHotel|hotel_search", ["Book a hotel room", "Find a hotel in a city"], ps, [f"Book a hotel in {c} for {n} night{s} and {g} {p}{tail}.", f"I need a room in {c} for {g} {p}, {n} night{s}{tail}.", f"Find a hotel for {g} {p} in {c} for {n} night{s}{tail}."], pick(r, {"booking": i}, {"code": i}), f"The room in {c} is booked, the code is {i}.", "hotels")
def t_food(r):
    k, c, n = pick(r, "Italian", "Chinese", "Indian", "Greek", "Thai", "Mexican", "French"), city(r), cap(word(r)) + " " + pick(r, "House", "Garden", "Corner", "Kitchen"); o = r.random() < 0.4; p = pick(r, "cheap", "medium", "expensive"); hp = r.random() < 0.4
    ps = [P("cuisine|kind|food", "string", ["Kind of food", "The cuisine"], k), P("city|location|place", "string", CITY, c)]; mid = f"{p} {k}" if hp else k; tail = " that is open now" if o else ""
    if hp: ps.append(P("price|price_range|budget", "string", ["Price range", "How expensive it may be"], p, ["cheap", "medium", "expensive"], False, True))
    if o or r.random() < 0.3: ps.append(P("open_now|open", "boolean", ["Only places that are open", "Whether it must be open now"], True, req=False, use=o))
    return T("find_restaurant|search_restaurants|restaurants|findRestaurant|find_food", ["Find a restaurant", "Search restaurants in a city"], ps, [f"Find {article(mid)} restaurant in {c}{tail}.", f"Where can I eat {mid} food in {c}? I want a place{tail}." if o else f"Where can I eat {mid} food in {c}?", f"I am looking for {article(mid)} restaurant in {c}{tail}."], pick(r, {"name": n}, {"results": [{"name": n}]}, {"restaurant": n, "rating": r.randint(1, 5)}), f"I found this restaurant: {n}.", "restaurants")
def t_note(r):
    x = phrase(r, ("buy milk", "call mom", "water the plants", "pay the rent", "feed the cat", "send the letter", "clean the car", "read the book")); ps = [P("text|note|task|content|title", "string", ["The note", "What to write down"], x)]; tail = ""
    if r.random() < 0.3:
        g = [word(r) for _ in range(r.randint(1, 3))]; ps.append(P("tags|labels", "array", ["Tags of the note", "Labels"], g, req=False, use=True, items={"type": "string"})); tail = f" with the tag{'s' if len(g) > 1 else ''} {listed(g)}"
    elif r.random() < 0.3:
        p = pick(r, "low", "normal", "high"); ps.append(P("priority|importance", "string", ["How important it is", "Priority"], p, ["low", "normal", "high"], False, True)); tail = f" with {p} priority"
    ask = [f"Add a note: '{x}'{tail}", f"Put '{x}' on my list{tail}.", f"Add '{x}' to my tasks{tail}."] if tail else [f"Add a note: {x}", f"Remember to {x}.", f"Put {x} on my list.", f"Add {x} to my tasks.", f"Note that I must {x}."]
    return T("add_note|create_note|add_todo|save_note|addTask|add_task|add_reminder", ["Save a note", "Add a task to the list"], ps, ask, pick(r, {"status": "saved"}, *OK), f"I added this: {x}.", "notes")
def t_user(r):
    i = r.randint(100, 99999); n = person(r)
    return T("get_user|find_user|user_info|lookup_customer|getUser|get_customer", ["Get a user by id", "Look up a customer"], [P("id|user_id|customer_id|userId", "integer", ["The id", "Id of the user"], i)],
        [f"Who is user {i}?", f"Look up customer {i}.", f"Find the user with id {i}.", f"Get user {i}."], pick(r, {"name": n}, {"id": i, "name": n}, {"user": {"id": i, "name": n}}), f"User {i} is {n}.", "users", [f"And {i}?", f"And user {i}?"])
def t_distance(r):
    a, b, v = city(r), city(r), r.randint(20, 9000)
    return T("get_distance|distance|route_length|getDistance|measure_distance", ["Distance between two cities in kilometers", "How far two places are apart"], [P("from|origin|start|city_a", "string", ["The first city", "Start"], a), P("to|destination|end|city_b", "string", ["The second city", "End"], b)],
        [f"How far is it from {a} to {b}?", f"What is the distance between {a} and {b}?", f"Distance from {a} to {b}?", f"How many kilometers is it from {a} to {b}?"], pick(r, {"distance": v}, {"km": v}, {"kilometers": v}), f"It is {v} kilometers from {a} to {b}.", "distances")
def t_navigate(r):
    b, m = pick(r, city(r), f"{word(r)} street", "the station", "the airport", "the museum"), pick(r, "car", "bike", "foot", "train"); v = r.randint(3, 240); way = {"car": "by car", "bike": "by bike", "foot": "on foot", "train": "by train"}[m]
    return T("navigate|get_route|route|directions|getDirections|start_navigation", ["Start the navigation", "Find the way to a place"], [P("destination|to|place|target", "string", ["Where to go", "The place to reach"], b), P("mode|by|travel_mode", "string", ["How to travel", "Means of travel"], m, ["car", "bike", "foot", "train"])],
        [f"Take me to {b} {way}.", f"How do I get to {b} {way}?", f"Navigate to {b} {way}.", f"Show me the way to {b} {way}."], pick(r, {"minutes": v}, {"duration": v}), f"It takes {v} minutes {way} to {b}.", "routes")
def t_cart(r):
    xs = [pick(r, "milk", "bread", "eggs", "rice", "tea", word(r) + "s", word(r)) for _ in range(r.randint(1, 4))]; xs = list(dict.fromkeys(xs))
    return T("add_to_cart|shopping_list|add_items|order_food|addToCart|buy_items", ["Add items to the shopping cart", "Put things on the shopping list"], [P("items|products|things", "array", ["The items", "What to buy"], xs, items={"type": "string"})],
        [f"Add {listed(xs)} to my cart.", f"I want to buy {listed(xs)}.", f"Put {listed(xs)} on the shopping list.", f"Order {listed(xs)}."], pick(r, *OK, {"count": len(xs)}), f"I added {listed(xs)}.", "shopping")
def t_numbers(r):
    xs = [r.randint(1, 99) for _ in range(r.randint(3, 6))]; w = pick(r, "sum", "average", "maximum", "minimum"); v = r.randint(3, 400)
    return T(f"{w}|get_{w}|{w}_of_numbers", [f"The {w} of a list of numbers", f"Get the {w} of some numbers"], [P("numbers|values|data|list", "array", ["The numbers", "A list of numbers"], xs, items={"type": pick(r, "number", "integer")})],
        [f"What is the {w} of {listed(xs)}?", f"Get the {w} of {listed(xs)}.", f"Find the {w} of these: {', '.join(map(str, xs))}"], pick(r, {"result": v}, {w: v}), f"The {w} is {v}.", "sums")
def t_random(r):
    a = r.randint(0, 50); b = a + r.randint(5, 500); v = r.randint(a, b)
    return T("random_number|roll|random|randomNumber|dice", ["Draw a random number", "A random number between two limits"], [P("min|low|from|minimum", "integer", ["The lower limit", "Smallest value"], a), P("max|high|to|maximum", "integer", ["The upper limit", "Largest value"], b)],
        [f"Give me a random number between {a} and {b}.", f"Pick a random number from {a} to {b}.", f"Draw a number between {a} and {b}."], pick(r, {"number": v}, {"value": v}), f"The random number is {v}.", "random numbers")
def t_none(r):
    """Tools without parameters."""
    v = r.randint(1, 9999); h = f"{r.randint(0, 23)}:{r.randint(10, 59)}"; d = f"20{r.randint(20, 29)}-{r.randint(10, 12)}-{r.randint(10, 28)}"
    names, desc, ask, res, ans, topic = pick(r,
        ("get_balance|balance|account_balance", ["Balance of the account", "Get the account balance"], ["What is my balance?", "How much money do I have?", "Show my account balance.", "What's in my account?"], {"balance": v}, f"Your balance is {v}.", "the account"),
        ("get_time|now|current_time|clock", ["The current time", "Tells the time"], ["What time is it?", "What is the time?", "Tell me the time.", "What time is it now?"], {"time": h}, f"It is {h}.", "the time"),
        ("get_date|today|current_date", ["The current date", "Tells the date of today"], ["What is the date?", "What day is it today?", "What is today's date?", "Tell me the date."], {"date": d}, f"Today is {d}.", "the date"),
        ("count_messages|unread_count|inbox", ["Number of unread messages", "Counts new messages"], ["How many new messages do I have?", "Do I have unread messages?", "Check my inbox."], {"unread": v}, f"You have {v} unread messages.", "messages"),
        ("get_battery|battery|battery_level", ["Battery level in percent", "State of the battery"], ["How full is the battery?", "What is the battery level?", "Check the battery."], {"percent": v % 101}, f"The battery is at {v % 101} percent.", "the battery"))
    return T(names, desc, [], ask, res, ans, topic)

# ---------------------------------------------------------------- makers
NOUNS = "order invoice parcel ticket product book member car server flight patient course recipe box machine door file page song shop team player boat train report account camera sensor robot garden key".split()
def thing(r):
    return pick(r, NOUNS) if r.random() < 0.5 else made_up(r, 2)
def plural(n):
    return n + ("es" if n.endswith(("s", "x", "z", "ch", "sh")) else "s")
def spelled(r, *ws):
    """A tool name in snake or camel case."""
    return "_".join(ws) if r.random() < 0.75 else ws[0] + "".join(cap(w) for w in ws[1:])
def identifier(r, typ):
    return r.randint(1, 99999) if typ == "integer" else pick(r, code_word(r), person(r), word(r))
def lookup_maker(r, n):
    """A tool that reads a field of some kind of thing."""
    typ, asks_field, many = pick(r, "integer", "string", "string"), r.random() < 0.4, r.random() < 0.3
    names = "|".join([spelled(r, x, n) for x in ("get", "find", "lookup", "check", "read", "fetch")] + [spelled(r, n, "info"), spelled(r, n, "lookup")])
    def family(r):
        v, f, val = identifier(r, typ), field_name(r), scalar(r)
        while str(val) == str(v): val = scalar(r)
        ps = [P("id|key|name|code|number|ref|value|query", typ, [f"The {n} to look up", f"Which {n}", f"Id of the {n}"], v)]
        asks = [f"Look up {n} {v}.", f"Find {n} {v}.", f"Show me {n} {v}.", f"What do you know about {n} {v}?", f"Check {n} {v}.", f"I need the data of {n} {v}."]; ans = f"The {f} of {n} {v} is {val}."; res = {f: val}
        if asks_field:
            ps.append(P("field|attribute|property|what", "string", ["Which field to read", "Name of the field"], f)); asks = [f"What is the {f} of {n} {v}?", f"Get the {f} of {n} {v}.", f"Tell me the {f} of {n} {v}.", f"{cap(n)} {v}: what is the {f}?"]
        elif many:
            res = record(r, r.randint(2, 4))
            if r.random() < 0.5: f = pick(r, list(res)); asks = [f"What is the {f} of {n} {v}?", f"Get the {f} of {n} {v}.", f"Tell me the {f} of {n} {v}."]; ans = f"The {f} of {n} {v} is {res[f]}."
            else: ans = f"{cap(n)} {v}: " + listed(f"{a} is {b}" for a, b in res.items()) + "."
        return T(names, [f"Look up {article(n)}", f"Get data about {article(n)}", f"Read {article(n)} by its id", f"Returns the {n} for a key"], ps, asks, res, ans, plural(n), purpose=f"get {n}")
    return family
VERBS = "open close start stop delete print lock move clean paint rename archive cancel pause reset test sell buy hide update".split()
def action_maker(r, n, w=None):
    """A tool that does something to some kind of thing."""
    w, typ, k = w or pick(r, VERBS), pick(r, "integer", "string", "string"), pick(r, "level", "speed", "priority", "count", "amount", "delay") if r.random() < 0.4 else None
    names = "|".join([spelled(r, w, n), spelled(r, n, w)])
    def family(r):
        v, x, tail = identifier(r, typ), r.randint(1, 99), ""
        ps = [P("id|name|target|code|item|which", typ, [f"The {n} to {w}", f"Which {n}"], v)]
        if k: ps.append(P(k, "integer", [f"The {k}", f"{cap(k)} as a number"], x)); tail = pick(r, f" with {k} {x}", f" at {k} {x}", f", {k} {x}")
        return T(names, [f"{cap(w)} {article(n)}", f"Use this to {w} {article(n)}", f"{cap(w)}s {article(n)}"], ps, [f"{cap(w)} {n} {v}{tail}.", f"Please {w} {n} {v}{tail}.", f"Can you {w} {n} {v}{tail}?", f"{cap(w)} the {n} {v}{tail}.", f"I want to {w} {n} {v}{tail}."],
            pick(r, *OK), f"Done! I used {w} on {n} {v}.", plural(n), purpose=f"{w} {n}")
    return family
LEVELS = [["low", "medium", "high"], ["small", "medium", "large"], ["new", "used"], ["public", "private"], ["red", "green", "blue"], ["fast", "slow"], ["open", "closed", "waiting"]]
def create_maker(r, n):
    """A tool that makes a new thing out of several fields of all types."""
    keys = []
    for _ in range(r.randint(2, 5)):
        k = field_name(r) if r.random() < 0.8 else f"{pick(r, FIELD_NAMES)}_{pick(r, FIELD_NAMES)}"
        if k not in keys: keys.append(k)
    types = {k: r.choices(["string", "integer", "number", "boolean", "enum", "array", "object"], [5, 4, 1.5, 2, 2, 2, 1])[0] for k in keys}
    levels = {k: pick(r, LEVELS) if r.random() < 0.6 else [made_up(r) for _ in range(r.randint(2, 4))] for k in keys}
    parts = {k: list(record(r, 2)) for k in keys}
    needed = {k: i == 0 or r.random() < 0.7 for i, k in enumerate(keys)}
    kind = {k: pick(r, "string", "integer") for k in keys}
    w = pick(r, "create", "add", "register", "make", "new"); names = "|".join([spelled(r, w, n), spelled(r, n, w)]); gives_id = r.random() < 0.5
    def family(r):
        ps, said = [], []
        for k in keys:
            t, use, more, enum = types[k], needed[k] or r.random() < 0.5, {}, None; label = k.replace("_", " ")
            if t == "string": v = pick(r, person(r), city(r), word(r), code_word(r), phrase(r)); text = f"{label} {v}"
            elif t == "integer": v = r.randint(0, 999); text = f"{label} {v}"
            elif t == "number": v = round(r.uniform(0, 99), 1); text = f"{label} {v}"
            elif t == "boolean": v = r.random() < 0.5; text = f"{label} {pick(r, 'yes', 'on', 'true') if v else pick(r, 'no', 'off', 'false')}"
            elif t == "enum": enum = levels[k]; v = pick(r, enum); text = f"{label} {v}"; t = "string"
            elif t == "array":
                v = [r.randint(1, 99) if kind[k] == "integer" else pick(r, word(r), person(r)) for _ in range(r.randint(1, 4))]; text = f"{label} {listed(v)}"; more = {"items": {"type": kind[k]}}
            else:
                v = {p: str(scalar(r)) for p in parts[k]}; text = f"{label} with " + listed(f"{p} {x}" for p, x in v.items()); more = {"properties": {p: {"type": "string"} for p in v}}
            ps.append(P(k, t, [f"The {label}", f"{cap(label)} of the {n}", f"Which {label} it has"], v, enum, needed[k], use, **more))
            if use: said.append(text)
        if r.random() < 0.3: r.shuffle(said)
        how = pick(r, "; ", ", ").join(said) if r.random() < 0.5 else "; ".join(said[:-1]) + (" and " if len(said) > 1 else "") + said[-1]; i = r.randint(1, 9999)
        return T(names, [f"Create {article(n)}", f"Adds a new {n}", f"Make a new {n} with the given data"], ps, [f"Create a new {n} with {how}.", f"Add {article(n)}: {how}", f"New {n}: {how}", f"I need a new {n} with {how}.", f"Please make {article(n)} with {how}."],
            {"id": i} if gives_id else pick(r, *OK), f"Done! The new {n} has the id {i}." if gives_id else f"Done! The new {n} was created.", plural(n), purpose=f"create {n}")
    return family

FAMILIES = [t_weather] * 5 + [t_forecast, t_calc, t_math, t_calendar, t_search, t_currency, t_light, t_timer, t_alarm, t_email, t_music, t_time, t_translate, t_stock, t_price, t_heat, t_trip, t_hotel, t_food, t_note, t_user, t_distance, t_navigate, t_cart, t_numbers, t_random, t_none]
MAKERS = [lookup_maker] * 4 + [action_maker] * 3 + [create_maker] * 3

def family(r, noun=None):
    return pick(r, FAMILIES) if noun is None and r.random() < 0.72 else pick(r, MAKERS)(r, noun or thing(r))

# ---------------------------------------------------------------- tools and dialogues
def use(t, keys, name):
    """A use of a tool under given names."""
    return dict(t, name=name, keys=keys, args={k: p["val"] for k, p in zip(keys, t["params"]) if p["use"]})

def tool(r, f):
    """A tool of a family with its schema, and a first use of it."""
    t = f(r)
    name, keys, props = pick(r, t["names"]), [], {}
    described = r.random() < 0.85
    for p in t["params"]:
        k = pick(r, p["names"]); keys.append(k)
        s = {"type": p["type"]}
        if described and r.random() < 0.9: s["description"] = pick(r, p["desc"])
        if p["enum"]: s["enum"] = p["enum"]
        props[k] = s | p["more"]
    schema = {"type": "object", "properties": props}
    required = [k for k, p in zip(keys, t["params"]) if p["req"]]
    if r.random() < 0.85 and (required or r.random() < 0.3): schema["required"] = required
    if r.random() < 0.15: schema["additionalProperties"] = False
    fn = {"name": name}
    if r.random() < 0.9: fn["description"] = pick(r, t["desc"])
    fn["parameters"] = schema
    if r.random() < 0.08: fn["strict"] = True
    return dict(family=f, name=name, keys=keys, schema={"type": "function", "function": fn}, topic=t["topic"], purpose=t["purpose"], first=use(t, keys, name), form=form(t))

def form(t):
    """Uses of one tool agree in this."""
    return t["purpose"], t["names"][0], [(p["names"][0], p["type"], p["enum"]) for p in t["params"]]

def again(r, x):
    """The tool x asked for with new values."""
    if x["first"]: t, x["first"] = x["first"], None; return t
    while True:
        t = x["family"](r)
        if form(t) == x["form"]: return use(t, x["keys"], x["name"])

def toolset(r, n):
    """n tools for different purposes; at times several for the same kind of thing."""
    out, seen, noun = [], set(), thing(r) if r.random() < 0.2 else None
    while len(out) < n:
        x = tool(r, family(r, noun if r.random() < 0.7 else None))
        about = x["purpose"] if noun and x["topic"] == plural(noun) else x["topic"]
        if x["name"] in seen or about in seen: continue
        seen |= {x["name"], about}; out.append(x)
    return out

def call_msg(*uses):
    return dict(role="assistant", content="", tool_calls=[{"type": "function", "function": {"name": i["name"], "arguments": i["args"]}} for i in uses])

ERRORS = ["not found", "no connection", "timeout", "access denied", "service unavailable", "invalid id", "too many requests"]
def reply(r, i):
    """What the tool gives back, as text, and the answer."""
    if r.random() < 0.04:
        e = pick(r, ERRORS) if r.random() < 0.7 else f"{word(r)} {pick(r, ERRORS)}"
        return pick(r, dumps({"error": e}), f"Error: {e}", dumps({"status": "error", "message": e})), f"The tool gave an error: {e}."
    x, res = r.random(), i["result"]
    if x < 0.10: return i["answer"], i["answer"]
    if x < 0.13 and len(res) == 1 and isinstance(v := next(iter(res.values())), (str, int, float)) and v is not True: return str(v), i["answer"]
    if x < 0.16: return ", ".join(f"{k}: {v}" for k, v in res.items() if not isinstance(v, (dict, list))) or dumps(res), i["answer"]
    if x < 0.22: return dumps({pick(r, "data", "response", "output"): res}), i["answer"]
    if x < 0.28: return dumps({pick(r, "source", "request", "version"): word(r)} | res), i["answer"]
    if x < 0.33: return json.dumps(res, ensure_ascii=False, separators=(",", ":")), i["answer"]
    return dumps(res), i["answer"]

def turn(r, ts, mode, last=None):
    """The messages of one exchange with the tools ts, and the tool that was used. last: the tool used just before."""
    if mode in ("call", "result"):
        x = last if last and r.random() < 0.35 else pick(r, ts)
        i = again(r, x); ask = pick(r, i["more"]) if x is last and i["more"] and r.random() < 0.6 else loosen(r, pick(r, i["ask"]), case=False)
        uses = [i]
        if r.random() < 0.05:
            y = pick(r, ts); j = again(r, y); ask = f"{ask}{'' if ask[-1] in '.?!' else '.'} {pick(r, '', 'And: ', 'Also: ')}{pick(r, j['ask'])}"
            if j["args"] != i["args"] or j["name"] != i["name"]: uses.append(j)
            else: ask = pick(r, i["ask"])
        ms = [dict(role="user", content=ask), call_msg(*uses)]
        if mode == "result":
            said = [reply(r, u) for u in uses]
            ms += [dict(role="tool", name=u["name"], content=c) for u, (c, _) in zip(uses, said)] + [dict(role="assistant", content=" ".join(a for _, a in said))]
        return ms, x
    if mode == "decline":
        topics = {x["topic"] for x in ts}
        while True:
            o = tool(r, family(r))
            if o["topic"] in topics or o["topic"] in ("sums", "translation", "currencies", "the forecast"): continue  # the model can do these by itself, or another tool can
            if "the forecast" in topics and o["topic"] == "the weather": continue
            if "web search" in topics and o["family"] not in FAMILIES: continue  # a web search might find it
            break
        return [dict(role="user", content=loosen(r, pick(r, o["first"]["ask"]), case=False)), dict(role="assistant", content=f"I have no tool for {o['topic']}, so I cannot do that.")], None
    topics = {x["topic"] for x in ts}
    while True:
        e = pick(r, [greet, talk, talk, identity, identity, capital, capital, define, qa, opposite, animal, joke, currency, continent, colour, story, spell, grammar] + ([arithmetic] if "sums" not in topics else []))(r)
        if e["u"][:9] not in ("What time",): break
    return [dict(role="user", content=e["u"]), dict(role="assistant", content=e["a"])], None

def tool_dialogue(r, mode=None, n=None):
    """A dialogue with tools; its first exchange has the mode call, result, decline or chat. Returns messages, tools and mode."""
    modes = ["call", "result", "decline", "chat"]
    mode = mode or r.choices(modes, [3, 5, 2.4, 1.8])[0]
    n = n or r.choices([1, 2, 3, 4, 5], [34, 28, 20, 11, 7])[0]
    ts = toolset(r, n)
    msgs = [dict(role="system", content=pick(r, SYSTEMS))] if r.random() < 0.3 else []
    ms, last = turn(r, ts, mode); msgs += ms
    now = mode
    while now != "call" and r.random() < 0.55:
        now = r.choices(modes, [1, 5, 1.8, 1.2])[0]
        ms, last = turn(r, ts, now, last); msgs += ms
    return dict(messages=msgs, tools=[t["schema"] for t in ts], mode=mode)
