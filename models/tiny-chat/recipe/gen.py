"""Dialogue generator: every skill is a function of a random source that returns one exchange.

An exchange is a dict: u (user text), a (answer), and optionally
  s      a short form of the answer (used by terse and JSON system prompts, and for near-exact scoring)
  check  a function of the model's output, for skills with more than one right answer
Dialogues are lists of messages in the chat-completions shape, with optional tools.
"""
import json, random, re, zlib
from facts import *
from words import *
from invent import *

SUM = re.compile(r"(\d+) ?(?:\+|plus|and) ?(\d+)")
def held_pair(a, b):
    """One in ten pairs of two-digit numbers: no training prompt asks for their sum, in any wording or order."""
    a, b = sorted((a, b))
    return a >= 10 and b < 100 and zlib.crc32(f"{a}+{b}".encode()) % 10 == 0

def held_out(text):
    """Prompts whose hash or whose sum falls here are never trained on; evaluation uses only these."""
    return zlib.crc32(text.lower().encode()) % 40 == 0 or any(held_pair(int(a), int(b)) for a, b in SUM.findall(text.lower()))

def article(w):
    return ("an " if w[0].lower() in "aeiou" else "a ") + w

def loosen(r, u, case=True):
    """People type carelessly: vary case, final mark and politeness."""
    x = r.random()
    if x < 0.10:
        u = pick(r, "Please tell me: ", "Hey, ", "Hi! ", "Can you tell me: ", "Question: ", "Quick question: ") + u
    elif x < 0.15 and u[-1] in "?.":
        u = u[:-1] + pick(r, ", please", ", thanks", " please") + u[-1]
    if case and r.random() < 0.2:
        u = u.lower()
    if u.startswith(("What's", "what's")) and r.random() < 0.15:
        u = u[:4] + u[5:]
    if r.random() < 0.2 and u[-1] in "?.":
        u = u[:-1]
    return u

def Q(r, us, a, s=None, case=True, check=None, soft=True):
    u = pick(r, us) if isinstance(us, (list, tuple)) else us
    return dict(u=loosen(r, u, case) if soft else u, a=a, s=s, check=check)

# ---------------------------------------------------------------- small talk
GREET = ["Hello! How can I help you today?", "Hi there! What can I do for you?", "Hello! What would you like to talk about?", "Hi! How can I help?"]
def greet(r):
    u = pick(r, "Hello", "Hi", "Hey", "Hello!", "Hi!", "Hey there", "Hi there!", "Good morning", "Good evening", "Hello there", "Greetings", "Yo", "hello, anyone there?", "Good afternoon!", "Howdy", "hey!", "Hi, nice to meet you", "Hello, how is it going", "hiya", "Hello again")
    if r.random() < 0.3:
        n = person(r)
        u = pick(r, f"Hi, I am {n}.", f"Hello, my name is {n}.", f"Hey, I'm {n}!", f"Hi! My name is {n}")
        return dict(u=u, a=f"Hello, {n}! Nice to meet you. How can I help?", s=n)
    return dict(u=u, a=pick(r, GREET), check=lambda o: o in GREET)

TALK = [
    (("How are you?", "How are you doing?", "How are you today?", "How is it going?", "How do you feel?", "What's up?"), ["I am doing well, thank you! How are you?", "I am fine, thanks for asking. How can I help?"]),
    (("Thank you!", "Thanks", "Thanks a lot!", "Thank you very much.", "Great, thanks!", "Cool, thank you", "That helps, thanks."), ["You are welcome!", "You are welcome! Happy to help."]),
    (("Bye", "Goodbye!", "See you later", "Good night", "Bye bye", "I have to go now.", "See you tomorrow!"), ["Goodbye! Have a nice day.", "Goodbye! Come back any time."]),
    (("I am happy today.", "I had a great day!", "I feel wonderful.", "I got good news today!"), ["That is great to hear! What made your day?"]),
    (("I am sad.", "I feel sad today.", "I had a bad day.", "I feel lonely.", "I am not feeling well."), ["I am sorry to hear that. Do you want to talk about it?"]),
    (("I am bored.", "What should I do today?", "I don't know what to do.", "Give me an idea for today."), ["You could read a book, take a walk or call a friend."]),
    (("I am tired.", "I feel sleepy.", "I did not sleep well."), ["Maybe you should take a rest. A short nap can help."]),
    (("I am hungry.", "What should I eat?", "What should I cook tonight?", "Give me a dinner idea."), ["How about soup with fresh bread, or pasta with tomatoes?"]),
    (("You are great!", "I like you.", "Good job!", "Well done!", "You are smart.", "Nice!"), ["Thank you! That is kind of you."]),
    (("That is wrong.", "You are wrong.", "That's not right.", "No, that is incorrect."), ["I am sorry. I am a tiny model and I make mistakes."]),
    (("Ok", "Okay.", "I see.", "Alright", "Got it."), ["Great! Is there anything else I can do?"]),
    (("Are you there?", "Can you hear me?", "test", "Testing", "ping", "This is a test.", "Say something."), ["Yes, I am here. How can I help?"]),
    (("Help", "Can you help me?", "I need help.", "Help me please", "I have a question."), ["Of course! What do you need help with?"]),
    (("Do you like music?", "Do you like pizza?", "What is your favorite color?", "Do you have hobbies?", "Do you have feelings?", "Do you dream?"), ["I am a small program, so I do not have feelings or tastes, but I like to help."]),
    (("Can you keep a secret?", "Will you remember me?", "Do you remember our last chat?"), ["I only see this conversation and forget it when it ends."]),
]
def talk(r):
    us, ans = pick(r, TALK)
    return Q(r, us, pick(r, ans), check=lambda o: o in ans)

WHO = "I am Tiny Chat, a tiny demo model built into this engine. I run on WebGPU or WASM, right on your machine."
IDENT = [
    (("Who are you?", "What are you?", "Tell me about yourself.", "Introduce yourself.", "What is your name?", "What's your name?", "Who am I talking to?", "What model are you?", "Which model is this?", "Are you a bot?", "Are you an AI?", "What AI are you?", "Describe yourself.", "Say who you are."), WHO),
    (("Are you human?", "Are you a real person?", "Are you a person?", "Am I talking to a human?"), "No, I am not a person. I am Tiny Chat, a tiny demo model built into this engine."),
    (("Are you ChatGPT?", "Are you GPT-4?", "Are you Claude?", "Are you Gemini?", "Are you Llama?", "Are you Qwen?", "Are you Siri?", "Are you Alexa?", "Are you DeepSeek?", "Are you Mistral?", "Is this ChatGPT?", "You are GPT, right?"), "No, I am Tiny Chat, a tiny demo model built into this engine."),
    (("Who made you?", "Who created you?", "Who trained you?", "Where do you come from?", "Who built you?", "How were you made?", "How were you trained?", "What data were you trained on?"), "I was trained from scratch on synthetic dialogues as the demo model of this engine."),
    (("How big are you?", "How many parameters do you have?", "What size are you?", "Are you a large model?"), "I am very small: only about seven million parameters."),
    (("Where do you run?", "What do you run on?", "Do you run locally?", "Do you use the GPU?", "Do you need the internet?", "Are you online?"), "I run on your own machine, on WebGPU when there is a GPU and on WASM otherwise. I need no network."),
    (("What can you do?", "What are you good at?", "How can you help me?", "What can I ask you?", "What do you know?", "List your skills.", "What are your abilities?"), "I can chat, tell short stories, do small sums, name capitals, define simple words, sort lists, write JSON and call tools."),
    (("What are your limits?", "What can't you do?", "Do you make mistakes?", "Can I trust you?", "Are your answers correct?"), "I am tiny, so I know little and make mistakes. Load a larger model for serious work."),
    (("How old are you?", "When is your birthday?", "When were you born?"), "I am a program, so I have no age."),
    (("Where do you live?", "Where are you from?", "Where are you?"), "I live inside this engine, on your machine."),
]
def identity(r):
    us, a = pick(r, IDENT) if r.random() < 0.6 else IDENT[0]
    return Q(r, us, a)

# ---------------------------------------------------------------- facts
FAM = [c for c in COUNTRIES if c[0] in FAMOUS]
UNIQUE_CUR = {}
for _c in COUNTRIES:
    UNIQUE_CUR.setdefault(_c[2], []).append(_c)
def country(r):
    return pick(r, FAM) if r.random() < 0.4 else pick(r, COUNTRIES)

def capital(r):
    n, c, cur, cont = country(r)
    x = r.random()
    if x < 0.12:
        ok = r.random() < 0.5; d = c if ok else pick(r, COUNTRIES)[1]
        return Q(r, [f"Is {d} the capital of {n}?", f"Is the capital of {n} {d}?"], f"{'Yes' if d == c else 'No'}, the capital of {n} is {c}.", "Yes" if d == c else "No")
    if x < 0.3 and c not in (n,):
        return Q(r, [f"{c} is the capital of which country?", f"Which country has the capital {c}?", f"What country is {c} the capital of?"], f"{c} is the capital of {n}.", n)
    return Q(r, [f"What is the capital of {n}?", f"What's the capital of {n}?", f"Which city is the capital of {n}?", f"Name the capital of {n}.", f"Tell me the capital of {n}.", f"capital of {n}", f"Do you know the capital of {n}?", f"What is the capital city of {n}?", f"{cap(n)}: what is the capital?", f"capital city of {n}?", f"I need to know the capital of {n}.", f"{n} capital?"],
             f"The capital of {n} is {c}.", c)

def currency(r):
    n, c, cur, cont = country(r)
    return Q(r, [f"What is the currency of {n}?", f"What currency is used in {n}?", f"What money do they use in {n}?", f"Which currency does {n} use?", f"currency of {n}", f"How do people pay in {n}?"], f"The currency of {n} is the {cur}.", cur)

def continent(r):
    n, c, cur, cont = country(r)
    if r.random() < 0.15:
        return Q(r, [f"Which continent is {c} on?", f"On which continent is the city of {c}?"], f"{c} is in {cont}.", cont)
    return Q(r, [f"Which continent is {n} in?", f"What continent is {n} on?", f"Where is {n}?", f"On which continent is {n}?", f"continent of {n}"], f"{cap(n)} is in {cont}.", cont)

def colour(r):
    if r.random() < 0.2:
        (a, b), c = pick(r, list(MIX.items()))
        if r.random() < 0.5: a, b = b, a
        return Q(r, [f"What do you get when you mix {a} and {b}?", f"What color do {a} and {b} make?", f"Mix {a} and {b}."], f"{cap(a)} and {b} make {c}.", c)
    t, c = pick(r, list(COLOURS.items()))
    return Q(r, [f"What color is {t}?", f"What colour is {t}?", f"Which color is {t}?", f"Tell me the color of {t}."], f"{cap(t)} is {c}.", c)

def opposite(r):
    a, b = pick(r, OPPOSITES)
    if r.random() < 0.5 and sum(x[1] == b for x in OPPOSITES) == 1 and not any(x[0] == b for x in OPPOSITES): a, b = b, a
    return Q(r, [f"What is the opposite of {a}?", f"Opposite of {a}?", f"Give me the opposite of {a}.", f"What's the opposite of {a}?", f"What is the antonym of {a}?", f"Tell me the opposite of the word {a}."], f"The opposite of {a} is {b}.", b)

def animal(r):
    n, s, y, g, l = pick(r, ANIMALS)
    x = r.random()
    if x < 0.35:
        return Q(r, [f"What sound does {article(n)} make?", f"What does {article(n)} say?", f"What noise does {article(n)} make?", f"sound of {article(n)}"], f"{cap(article(n))} says {s}." if s in ("moo", "baa", "oink", "meow", "quack", "caw", "coo", "buzz") else f"{cap(article(n))} makes the sound: {s}.", s)
    if x < 0.7:
        return Q(r, [f"What is a baby {n} called?", f"What do you call a baby {n}?", f"What is the young of {article(n)} called?", f"name of a baby {n}"], f"A baby {n} is called {article(y)}.", y)
    if x < 0.85:
        return Q(r, [f"What kind of animal is {article(n)}?", f"Is {article(n)} a mammal, a bird or something else?"], f"{cap(article(n))} is {article(g)}.", g)
    n, l = pick(r, list(LEGS.items()))
    return Q(r, [f"How many legs does {article(n)} have?", f"Number of legs of {article(n)}?"], f"{cap(article(n))} has {l if l else 'no'} legs.", str(l) if l else "no")

def qa(r):
    us, a = pick(r, QA)
    return Q(r, us, a)

# words that people are likeliest to ask about; they are drawn more often
CORE = set("""apple banana dog cat horse cow lion elephant bird fish bee tree flower river mountain ocean island desert volcano sun moon star planet galaxy
rain snow cloud rainbow winter summer house school hospital library castle bridge map book story poem music piano guitar game chess friend family teacher
doctor pilot farmer king queen pirate dragon robot computer internet program algorithm token data language verb noun question gravity energy atom number
circle triangle car train airplane ship rocket bicycle bread cheese pizza coffee tea honey water fire gold heart brain dream love happiness courage""".split())
COREDEFS = [d for d in DEFS if d[0] in CORE]
def the_form(w):
    return f"the {w}" if w in THE else w if w in NOCOUNT else article(w)
def define(r):
    w, d = pick(r, COREDEFS if r.random() < 0.5 else DEFS)
    f = the_form(w)
    verb = "are" if w in ("police", "scissors") else "is"
    return Q(r, [f"What {verb} {f}?", f"What {verb} {f}?", f"Define {w}.", f"What does {w} mean?", f"Explain what {f} {verb}.", f"Explain {w}.", f"What is the meaning of {w}?", f"Tell me what {f} {verb}.", f"Define the word {w}.", f"Give me a definition of {w}."],
             f"{cap(f)} {verb} {d}.", d)

def unknown(r):
    t = pick(r, UNKNOWN)
    a = f"I am only a tiny demo model and I do not know much about {t}. Try a larger model for that."
    return Q(r, [f"Explain {t}.", f"Tell me about {t}.", f"What do you think about {t}?", f"Can you explain {t} to me?", f"I want to learn about {t}.", f"Write an essay about {t}.", f"Give me a summary of {t}.", f"Help me with {t}.", f"What do you know about {t}?", f"How does {t} work?", f"Why is {t} important?", f"Teach me {t}."], a, t, case=False)

LIVE = [
    (("What time is it?", "What is the time?", "What time is it now?", "Tell me the time."), "I cannot see a clock, so I do not know the time."),
    (("What day is it today?", "What is today's date?", "What is the date?", "Which year is it?"), "I cannot see a calendar, so I do not know the date."),
    (("What is the weather like?", "Will it rain tomorrow?", "How is the weather today?", "What's the weather in {c}?", "Is it cold in {c}?", "Weather in {c}"), "I cannot check the weather without a tool."),
    (("What is in the news?", "What happened today?", "Give me the latest news.", "Who won the game?"), "I have no network, so I cannot read the news."),
    (("Send an email to {n}.", "Call {n}.", "Turn on the lights.", "Set a timer for 5 minutes.", "Play some music.", "Book a flight to {c}.", "Order a pizza."), "I cannot do that without a tool."),
]
def live(r):
    us, a = pick(r, LIVE)
    return Q(r, [u.format(c=city(r), n=person(r)) for u in us], a)

def joke(r):
    j = pick(r, JOKES)
    return Q(r, ["Tell me a joke.", "Do you know a joke?", "Make me laugh.", "Tell me something funny.", "Another joke.", "I want to hear a joke.", "Say something funny.", "joke please"], j, check=lambda o: o in JOKES)
def funfact(r):
    j = pick(r, FUNFACTS)
    return Q(r, ["Tell me a fun fact.", "Give me an interesting fact.", "Tell me something interesting.", "Do you know a fun fact?", "Surprise me with a fact.", "random fact"], j, check=lambda o: o in FUNFACTS)
POEMS = ["The moon is high, the night is deep,\nthe little stars have gone to sleep.\nThe wind is soft, the sea is blue,\nand morning comes for me and you.",
         "A little bird sat in a tree\nand sang a happy song for me.\nThe sun came up, the sky was bright,\nand everything was warm and light.",
         "Soft rain on the roof,\na small green leaf drinks and grows:\nspring knocks at the door."]
def poem(r):
    t = pick(r, "the moon", "spring", "the sea", "a bird", "rain", "love", "the night", "nature", "the sun")
    return Q(r, ["Write a poem.", f"Write a poem about {t}.", "Can you write a short poem?", f"Write a short poem about {t}.", f"Write a haiku about {t}.", "Make a rhyme for me."], pick(r, POEMS), check=lambda o: o in POEMS)
def translate(r):
    w, d = pick(r, list(TRANSLATE.items())); l, t = pick(r, list(d.items()))
    return Q(r, [f"How do you say {w} in {l}?", f"Translate {w} to {l}.", f"What is {w} in {l}?", f"Translate '{w}' into {l}.", f"Say {w} in {l}."], f"\"{cap(w)}\" in {l} is \"{t}\".", t)
def code(r):
    us, a = pick(r, CODE)
    return Q(r, us, a)

# ---------------------------------------------------------------- calendar, numbers
ORD = ["", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
def calendar(r):
    x = r.random()
    if x < 0.3:
        i = r.randrange(7); d = DAYS[i]
        if r.random() < 0.5:
            return Q(r, [f"What day comes after {d}?", f"Which day follows {d}?", f"What is the day after {d}?", f"If today is {d}, what day is tomorrow?"], f"The day after {d} is {DAYS[(i+1)%7]}.", DAYS[(i+1)%7])
        return Q(r, [f"What day comes before {d}?", f"What is the day before {d}?", f"If today is {d}, what day was yesterday?"], f"The day before {d} is {DAYS[(i-1)%7]}.", DAYS[(i-1)%7])
    if x < 0.5:
        i, k = r.randrange(7), r.randint(2, 6); d = DAYS[i]
        steps = ", ".join(DAYS[(i+j) % 7] for j in range(1, k+1))
        return Q(r, [f"Today is {d}. What day is it in {k} days?", f"What day is {k} days after {d}?", f"If today is {d}, what day will it be in {k} days?"], f"Counting {k} days: {steps}. It is {DAYS[(i+k)%7]}.", DAYS[(i+k)%7])
    i = r.randrange(12); m = MONTHS[i]
    if x < 0.65:
        return Q(r, [f"What month comes after {m}?", f"Which month follows {m}?", f"What is the month after {m}?"], f"The month after {m} is {MONTHS[(i+1)%12]}.", MONTHS[(i+1)%12])
    if x < 0.75:
        return Q(r, [f"What month comes before {m}?", f"What is the month before {m}?"], f"The month before {m} is {MONTHS[(i-1)%12]}.", MONTHS[(i-1)%12])
    if x < 0.85:
        return Q(r, [f"How many days are in {m}?", f"How many days does {m} have?"], f"{m} has {MONTH_DAYS[i]} days.", str(MONTH_DAYS[i]))
    if x < 0.92:
        o = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth"][i]
        return Q(r, [f"What is the {o} month of the year?", f"Which month is the {o}?"], f"The {o} month of the year is {m}.", m)
    return Q(r, [f"Which season is {m} in?", f"What season is {m}?"], f"In the north, {m} is in {SEASONS[m]}.", SEASONS[m])

def counting(r):
    x = r.random()
    if x < 0.55:
        a = 1 if r.random() < 0.5 else r.randint(2, 80); b = a + r.randint(3, 14)
        seq = ", ".join(map(str, range(a, b+1)))
        return Q(r, [f"Count from {a} to {b}.", f"Count from {a} up to {b}.", f"Can you count from {a} to {b}?", f"List the numbers from {a} to {b}."] + ([f"Count to {b}.", f"Can you count to {b}?"] if a == 1 else []), seq, seq)
    if x < 0.7:
        b = r.randint(0, 20); a = b + r.randint(3, 10)
        seq = ", ".join(map(str, range(a, b-1, -1)))
        return Q(r, [f"Count down from {a} to {b}.", f"Count backwards from {a} to {b}."], seq, seq)
    if x < 0.85:
        k = pick(r, 2, 5, 10, 3); n = r.randint(4, 8)
        seq = ", ".join(str(k*i) for i in range(1, n+1))
        return Q(r, [f"Count by {k}s to {k*n}.", f"Count in steps of {k} up to {k*n}."], seq, seq)
    a = r.randint(0, 98)
    if r.random() < 0.5:
        return Q(r, [f"What number comes after {a}?", f"What is the next number after {a}?"], f"After {a} comes {a+1}.", str(a+1))
    return Q(r, [f"What number comes before {a+1}?"], f"Before {a+1} comes {a}.", str(a))

def add_text(a, b):
    if a < 10 or b < 10 or a % 10 == 0 or b % 10 == 0:
        return f"{a} + {b} = {a+b}."
    t, o = (a//10 + b//10)*10, a % 10 + b % 10
    return f"{a//10*10} + {b//10*10} = {t} and {a%10} + {b%10} = {o}, so {a} + {b} = {a+b}."
def sub_text(a, b):
    if b < 10 or b % 10 == 0:
        return f"{a} - {b} = {a-b}."
    t = b//10*10
    return f"{a} - {t} = {a-t} and {a-t} - {b%10} = {a-b}, so {a} - {b} = {a-b}."
def mul_text(a, b):
    if a <= 10 and b <= 10 or a % 10 == 0 or b % 10 == 0:
        return f"{a} x {b} = {a*b}."
    if a <= 10: a, b = b, a
    t = a//10*10
    return f"{t} x {b} = {t*b} and {a%10} x {b} = {a%10*b}, so {a} x {b} = {a*b}."
def pair(r):
    """Two numbers for a sum or a difference: half of the time their sum stays within 100, evenly over all pairs."""
    if r.random() < 0.25: return r.randint(0, 12), r.randint(0, 12)
    if r.random() < 0.6:
        a = r.randint(1, 99); b = r.randint(0, 100 - a)
        return (a, b) if r.random() < 0.5 else (b, a)
    return number(r), number(r)
def number(r):
    return r.randint(0, 12) if r.random() < 0.35 else r.randint(1, 99)
def add_question(r, a, b):
    us = [f"What is {a} + {b}?", f"What is {a} plus {b}?", f"{a} + {b}", f"{a}+{b}=?", f"Add {a} and {b}.", f"Calculate {a} + {b}.", f"How much is {a} plus {b}?", f"Compute {a}+{b}.", f"What's {a}+{b}?", f"{a} plus {b}"]
    if a <= 10 and b <= 10 and a and b: us += [f"What is {ORD[a]} plus {ORD[b]}?"]
    return Q(r, us, add_text(a, b), str(a+b), soft=r.random() < .6)
def sums(r):
    """Sums up to 100 whose pair of numbers training never shows; for evaluation."""
    while True:
        a = r.randint(10, 90); b = r.randint(10, 100 - a)
        if held_pair(a, b): return add_question(r, a, b)
def arithmetic(r):
    x = r.random()
    if x < 0.5:
        a, b = pair(r)
        return add_question(r, a, b)
    if x < 0.7:
        a, b = pair(r)
        if a < b: a, b = b, a
        return Q(r, [f"What is {a} - {b}?", f"What is {a} minus {b}?", f"{a} - {b}", f"{a}-{b}=?", f"Subtract {b} from {a}.", f"Calculate {a} - {b}.", f"How much is {a} minus {b}?", f"What's {a}-{b}?"], sub_text(a, b), str(a-b), soft=r.random() < .6)
    if x < 0.86:
        a, b = r.randint(0, 10), r.randint(0, 10)
        if r.random() < 0.25: a, b = r.randint(11, 19), r.randint(2, 9)
        if r.random() < 0.5: a, b = b, a
        return Q(r, [f"What is {a} x {b}?", f"What is {a} times {b}?", f"{a} * {b}", f"{a} x {b}", f"Multiply {a} by {b}.", f"Calculate {a} * {b}.", f"How much is {a} times {b}?", f"What's {a}*{b}?"], mul_text(a, b), str(a*b), soft=r.random() < .6)
    if x < 0.91:
        a, b = r.randint(1, 10), r.randint(1, 10)
        return Q(r, [f"What is {a*b} / {b}?", f"What is {a*b} divided by {b}?", f"Divide {a*b} by {b}.", f"{a*b} / {b}"], f"{a*b} / {b} = {a}.", str(a))
    n, a, b = person(r), r.randint(2, 20), r.randint(1, 9)
    t = pick(r, "apples", "books", "coins", "cookies", "pencils", "balls", "stamps", "flowers")
    if r.random() < 0.5:
        return Q(r, [f"{n} has {a} {t} and gets {b} more. How many {t} does {n} have now?", f"{n} has {a} {t}. A friend gives {n} {b} more. How many are there?"], f"{a} + {b} = {a+b}. {n} has {a+b} {t}.", str(a+b), case=False)
    if b > a: a, b = b, a
    return Q(r, [f"{n} has {a} {t} and gives away {b}. How many {t} are left?", f"{n} has {a} {t} and loses {b}. How many {t} does {n} have now?"], f"{a} - {b} = {a-b}. {n} has {a-b} {t}.", str(a-b), case=False)

def compare(r):
    x = r.random()
    a = r.randint(0, 99); b = pick(r, r.randint(0, 99), r.randint(max(0, a-9), a+9))
    if a == b: b = a + 1
    if x < 0.3:
        return Q(r, [f"Which is bigger, {a} or {b}?", f"Which number is larger: {a} or {b}?", f"What is greater, {a} or {b}?"], f"{max(a,b)} is bigger than {min(a,b)}.", str(max(a, b)))
    if x < 0.5:
        return Q(r, [f"Which is smaller, {a} or {b}?", f"Which number is less: {a} or {b}?"], f"{min(a,b)} is smaller than {max(a,b)}.", str(min(a, b)))
    if x < 0.7:
        ok = a > b
        return Q(r, [f"Is {a} bigger than {b}?", f"Is {a} greater than {b}?", f"Is {a} larger than {b}?"], f"{'Yes' if ok else 'No'}, {a} is {'bigger' if ok else 'smaller'} than {b}.", "Yes" if ok else "No")
    if x < 0.85:
        n = r.randint(0, 99); e = n % 2 == 0
        return Q(r, [f"Is {n} even or odd?", f"Is {n} odd or even?"], f"{n} is {'even' if e else 'odd'}.", "even" if e else "odd")
    xs = r.sample(range(1, 99), r.randint(3, 5)); big = r.random() < 0.5
    v = max(xs) if big else min(xs)
    l = ", ".join(map(str, xs))
    w = "largest" if big else "smallest"
    return Q(r, [f"What is the {w} number in {l}?", f"Which of these is the {w}: {l}?", f"Find the {w}: {l}."], f"The {w} number is {v}.", str(v))

# ---------------------------------------------------------------- words
def spell(r):
    w = pick(r, WORDS) if r.random() < 0.7 else made_up(r, pick(r, 1, 1, 2)); sp = "-".join(w); x = r.random()
    if x < 0.38:
        return Q(r, [f"Spell {w}.", f"Spell the word {w}.", f"How do you spell {w}?", f"Can you spell {w}?"], f"{sp}", sp)
    if x < 0.76:
        return Q(r, [f"Reverse the word {w}.", f"Spell {w} backwards.", f"Write {w} backwards.", f"What is {w} in reverse?"], f"{sp} becomes {'-'.join(w[::-1])}.", "-".join(w[::-1]))
    if x < 0.88:
        return Q(r, [f"How many letters are in {w}?", f"How many letters does {w} have?", f"Count the letters in {w}."], f"{sp} has {len(w)} letters.", str(len(w)))
    first = r.random() < 0.5; c = w[0] if first else w[-1]
    k = "first" if first else "last"
    return Q(r, [f"What is the {k} letter of {w}?", f"{cap(k)} letter of {w}?"], f"The {k} letter of {w} is {c}.", c)

def sorting(r):
    if r.random() < 0.65:
        xs = r.sample(range(1, 100), r.randint(3, 6)); up = r.random() < 0.7
        l = ", ".join(map(str, xs)); a = ", ".join(map(str, sorted(xs, reverse=not up)))
        us = [f"Sort these numbers: {l}", f"Sort {l}.", f"Put these numbers in order: {l}", f"Sort from smallest to largest: {l}", f"Arrange in ascending order: {l}"] if up else [f"Sort from largest to smallest: {l}", f"Sort in descending order: {l}", f"Put these numbers in order from big to small: {l}"]
        return Q(r, us, a, a)
    xs = r.sample(WORDS, r.randint(3, 5)); l = ", ".join(xs); a = ", ".join(sorted(xs))
    return Q(r, [f"Sort alphabetically: {l}", f"Sort these words: {l}", f"Put these words in alphabetical order: {l}", f"Alphabetize: {l}"], a, a)

def rhyme(r):
    g = pick(r, RHYMES); w = pick(r, g); rest = [x for x in g if x != w]
    if r.random() < 0.3:
        b = pick(r, rest); ok = True
        if r.random() < 0.5:
            b = pick(r, [x for h in RHYMES if h is not g for x in h]); ok = False
        if ok or b[-2:] != w[-2:]:
            return Q(r, [f"Do {w} and {b} rhyme?", f"Does {w} rhyme with {b}?"], f"{'Yes' if ok else 'No'}, {w} and {b} {'rhyme' if ok else 'do not rhyme'}.", "Yes" if ok else "No")
    a = pick(r, rest)
    return Q(r, [f"What rhymes with {w}?", f"Give me a word that rhymes with {w}.", f"Find a rhyme for {w}.", f"Rhyme {w}."], f"{cap(a)} rhymes with {w}.", a, check=lambda o: any(o == f"{cap(x)} rhymes with {w}." for x in rest))

def grammar(r):
    if r.random() < 0.6:
        s, p = pick(r, list(PLURALS.items()))
        if r.random() < 0.2:
            return Q(r, [f"What is the singular of {p}?", f"Singular of {p}?"], f"The singular of {p} is {s}.", s)
        return Q(r, [f"What is the plural of {s}?", f"Plural of {s}?", f"Give me the plural form of {s}.", f"One {s}, two what?"], f"The plural of {s} is {p}.", p)
    s, p = pick(r, list(PAST.items()))
    return Q(r, [f"What is the past tense of {s}?", f"Past tense of {s}?", f"Put the verb {s} in the past tense."], f"The past tense of {s} is {p}.", p)

UNITS = [("hours", "minutes", 60), ("minutes", "seconds", 60), ("days", "hours", 24), ("weeks", "days", 7), ("years", "months", 12), ("meters", "centimeters", 100),
         ("kilometers", "meters", 1000), ("kilograms", "grams", 1000), ("liters", "milliliters", 1000), ("centimeters", "millimeters", 10), ("feet", "inches", 12), ("dollars", "cents", 100), ("dozens", "pieces", 12), ("tons", "kilograms", 1000)]
def units(r):
    a, b, k = pick(r, UNITS); n = r.randint(1, 10) if k in (60, 24, 12, 7) else r.randint(1, 20)
    if r.random() < 0.75:
        v = n * k; f = a[:-1] if n == 1 and a != "feet" else "foot" if n == 1 else a
        return Q(r, [f"How many {b} are in {n} {f}?", f"Convert {n} {f} to {b}.", f"{n} {f} in {b}?", f"How many {b} is {n} {f}?"], f"{n} x {k} = {v}, so {n} {f} = {v} {b}.", str(v))
    v = n * k; f = a[:-1] if n == 1 and a != "feet" else "foot" if n == 1 else a
    return Q(r, [f"Convert {v} {b} to {a}.", f"How many {a} are {v} {b}?"], f"{v} / {k} = {n}, so {v} {b} = {n} {f}.", str(n))

def lists(r):
    k, xs = pick(r, list(LISTS.items())); n = r.randint(2, min(6, len(xs)))
    sel = r.sample(xs, n) if not k.startswith(("days", "months", "planets")) else xs[:n]
    style = r.random()
    if style < 0.6:
        a = "\n".join(f"{i+1}. {cap(x)}" for i, x in enumerate(sel))
        us = [f"List {n} {k}.", f"Name {n} {k}.", f"Give me {n} {k}.", f"Tell me {n} {k}.", f"Write a list of {n} {k}.", f"Can you list {ORD[n]} {k}?", f"Give me a list of {n} {k}."]
        parse = lambda o: [l.split(". ", 1)[-1] for l in o.split("\n")]
    else:
        a = ", ".join(sel); us = [f"Name {n} {k}, separated by commas.", f"List {n} {k} in one line.", f"{n} {k}, comma separated"]
        parse = lambda o: o.split(", ")
    low = {x.lower() for x in xs}
    def check(o):
        p = [x.strip().lower() for x in parse(o)]
        return len(p) == n and len(set(p)) == n and all(x in low for x in p)
    return Q(r, us, a, a, check=check)

ADJ = "big small old new red blue happy kind quick quiet bright warm cold soft brave funny green tall little clever".split()
NOUN = "dog cat house tree car bird river boy girl horse table garden train teacher farmer rabbit king queen".split()
VERB = ["sleeps", "runs", "sings", "jumps", "eats", "smiles", "waits", "dances", "plays", "rests"]
PLACE = ["in the garden", "by the river", "at home", "in the park", "on the hill", "near the sea", "at school", "in the kitchen", "under a tree", "in the town"]
def sentence(r):
    return f"the {pick(r, ADJ)} {pick(r, NOUN)} {pick(r, VERB)} {pick(r, PLACE)}"
POLITE = {"Give me": "Could you please give me", "Open": "Could you please open", "Close": "Could you please close", "Send me": "Could you please send me", "Show me": "Could you please show me", "Bring me": "Could you please bring me", "Tell me": "Could you please tell me", "Pass me": "Could you please pass me"}
def rewrite(r):
    x = r.random()
    if x < 0.35:
        s = sentence(r) if r.random() < 0.6 else " ".join(r.sample(WORDS, r.randint(1, 3)))
        return dict(u=pick(r, "Write in upper case: ", "Convert to upper case: ", "Make this uppercase: ", "Write in capital letters: ") + s, a=s.upper(), s=s.upper())
    if x < 0.5:
        s = sentence(r)
        return dict(u=pick(r, "Write in lower case: ", "Convert to lower case: ", "Make this lowercase: ") + s.upper(), a=s, s=s)
    if x < 0.75:
        k, v = pick(r, list(POLITE.items())); o = pick(r, "the book", "the door", "the window", "the report", "the salt", "your name", "the answer", "the map", "a pen", "the letter", "the keys", "the menu", "the list")
        return dict(u=pick(r, "Make this polite: ", "Rewrite politely: ", "Say this in a polite way: ", "Rewrite in a polite form: ") + f"{k} {o}.", a=f"{v} {o}?", s=f"{v} {o}?")
    if x < 0.88:
        s = sentence(r)
        return dict(u=pick(r, "Repeat after me: ", "Repeat this: ", "Say: ", "Echo: ", "Repeat exactly: ") + cap(s) + ".", a=cap(s) + ".", s=cap(s) + ".")
    s = cap(sentence(r)) + "."
    k = len(s.split())
    return dict(u=pick(r, f"How many words are in this sentence? {s}", f"Count the words: {s}"), a=f"The sentence has {k} words.", s=str(k))

# ---------------------------------------------------------------- copying
PLACES = ["first", "second", "third", "fourth", "fifth", "sixth"]
def copying(r):
    """Repeating and looking up values that are new each time."""
    x = r.random()
    if x < 0.35:
        xs = [str(scalar(r)) for _ in range(r.randint(2, 8))]; l = pick(r, ", ", ", ", " ", "; ").join(xs)
        return dict(u=pick(r, "Repeat this list: ", "Copy this list: ", "Repeat: ", "Say exactly: ", "Repeat after me: ", "Write this again: ") + l, a=l, s=l)
    if x < 0.5:
        xs = [str(scalar(r)) for _ in range(r.randint(2, 6))]; i = r.randrange(len(xs)); l = ", ".join(xs)
        k = PLACES[i] if i + 1 < len(xs) or r.random() < 0.5 else "last"
        return dict(u=pick(r, f"What is the {k} item in this list? {l}", f"Which is the {k} of these: {l}?", f"List: {l}. What comes {k}?"), a=f"The {k} item is {xs[i]}.", s=xs[i])
    f = record(r); k = pick(r, list(f)); v = f[k]
    if x < 0.65:
        t = ", ".join(f"{a} is {b}" for a, b in f.items())
        return dict(u=pick(r, f"{cap(t)}. What is {k}?", f"The {t}. What is the {k}?", f"Remember this: {t}. Tell me the {k}."), a=f"The {k} is {v}.", s=str(v))
    if x < 0.85:
        t = dumps(f)
        return dict(u=pick(r, f"{t} What is the {k}?", f"What is the value of {k} in {t}?", f"JSON: {t}\nQuestion: What is the {k}?", f"Find {k} in this JSON: {t}"), a=f"The {k} is {v}.", s=str(v))
    ns = {person(r): r.randint(100, 99999) for _ in range(r.randint(2, 4))}; n = pick(r, list(ns))
    t = pick(r, ", ", "\n", "; ").join(f"{a}{pick(r, ': ', ' ', ' = ')}{b}" for a, b in ns.items())
    if r.random() < 0.5:
        return dict(u=pick(r, f"Phone list: {t}. What is the number of {n}?", f"{t}\nWhat is the number of {n}?"), a=f"The number of {n} is {ns[n]}.", s=str(ns[n]))
    return dict(u=pick(r, f"Phone list: {t}. Who has the number {ns[n]}?", f"{t}\nWho has {ns[n]}?"), a=f"{n} has the number {ns[n]}.", s=n)

# ---------------------------------------------------------------- reading
def person_fact(r):
    """A sentence about someone, with its fields."""
    f = dict(name=person(r), age=r.randint(5, 89), city=city(r), job=pick(r, JOBS), food=pick(r, FOODS), color=pick(r, LISTS["colors"]))
    return f
FIELD_SENT = [
    ("name age city", ["{name} is {age} years old and lives in {city}.", "{name}, aged {age}, lives in {city}.", "My name is {name}, I am {age} and I live in {city}.", "I met {name} from {city}, who is {age} years old.", "Living in {city}, {name} just turned {age}."]),
    ("name job city", ["{name} works as {a_job} in {city}.", "{name} is {a_job} from {city}.", "In {city} there is {a_job} called {name}.", "My neighbor {name} is {a_job} who lives in {city}."]),
    ("name age job", ["{name} is {a_job} who is {age} years old.", "{name}, {age}, is {a_job}.", "At {age}, {name} became {a_job}."]),
    ("name food color", ["{name} likes {food} and the color {color}.", "The favorite food of {name} is {food} and the favorite color is {color}."]),
    ("name age city job", ["{name} is {age} years old, lives in {city} and works as {a_job}.", "{name} is a {age} year old {job} from {city}."]),
    ("product price quantity", ["We sold {quantity} {product} for {price} dollars.", "The customer bought {quantity} {product} and paid {price} dollars.", "Order: {quantity} {product}, total {price} dollars."]),
    ("event day time", ["The {event} is on {day} at {time}.", "Do not forget the {event} on {day} at {time}!", "On {day} at {time} there is a {event}."]),
    ("from to date", ["I want to fly from {from} to {to} on {date}.", "Book a trip from {from} to {to} for {date}.", "The train leaves {from} on {date} and goes to {to}."]),
    ("name email", ["You can write to {name} at {email}.", "{name} uses the address {email}.", "The email of {name} is {email}."]),
    ("name phone", ["Call {name} at {phone}.", "The phone number of {name} is {phone}."]),
    ("name age", ["{name} is {age}.", "{name} is {age} years old.", "I have a friend, {name}, who turned {age} last week."]),
    ("name city", ["{name} lives in {city}.", "{name} moved to {city}.", "My cousin {name} comes from {city}."]),
    ("name job", ["{name} is {a_job}.", "{name} found work as {a_job}."]),
    ("name product quantity", ["{name} ordered {quantity} {product}.", "Please send {quantity} {product} to {name}.", "{name} needs {quantity} {product}."]),
    ("name product price", ["{name} paid {price} dollars for the {product}.", "The {product} cost {name} {price} dollars."]),
    ("name event day", ["{name} has a {event} on {day}.", "On {day}, {name} goes to a {event}."]),
    ("name phone city", ["{name} from {city} can be reached at {phone}.", "For questions call {name} in {city}: {phone}."]),
    ("title author year", ["{author} wrote the book {title} in {year}.", "The book {title} by {author} came out in {year}."]),
]
TITLES = ["The Blue River", "Night Train", "The Last Garden", "Silent Hills", "The Old Clock", "Winter Light", "A Small Star", "The Red Door"]
ALIAS = {"name": ["name", "person", "full_name", "first_name"], "city": ["city", "location", "town", "place"], "job": ["job", "occupation", "profession"], "age": ["age", "years"], "product": ["product", "item"], "price": ["price", "total", "cost"], "quantity": ["quantity", "amount", "count"], "from": ["from", "origin"], "to": ["to", "destination"]}
def fields(r):
    keys, sents = pick(r, FIELD_SENT); keys = keys.split()
    f = dict(person_fact(r), product=pick(r, "apples", "books", "lamps", "chairs", "pens", "shirts", "tickets", "cups", "shoes") if r.random() < 0.6 else word(r) + "s", price=r.randint(2, 99), quantity=r.randint(2, 40),
             event=pick(r, "meeting", "party", "concert", "dinner", "lesson", "game", "workshop"), day=pick(r, DAYS), time=f"{r.randint(1,12)}{pick(r, ' am', ' pm', ':30 pm')}",
             date=f"{pick(r, MONTHS)} {r.randint(1,28)}", phone=f"555-{r.randint(1000,9999)}", title=pick(r, TITLES) if r.random() < 0.4 else cap(pick(r, ADJ)) + " " + cap(word(r)), author=person(r), year=r.randint(1950, 2024))
    f["from"], f["to"] = city(r), city(r)
    f["email"] = f"{f['name'].lower().replace(' ', '.')}@{pick(r, 'mail', 'example', 'post', 'work')}.{pick(r, 'com', 'org', 'net')}"
    f["a_job"] = article(f["job"])
    return keys, f, pick(r, sents).format(**f)
def dumps(x):
    return json.dumps(x, ensure_ascii=False)
def extract(r):
    if r.random() < 0.25:  # labelled records with any fields
        f = record(r); keys = list(f); sep, eq = pick(r, (", ", ": "), ("; ", ": "), ("\n", ": "), (", ", " "), (", ", " = "))
        s = sep.join(f"{k}{eq}{v}" for k, v in f.items())
        if r.random() < 0.3: s = "The " + " and the ".join(f"{k} is {v}" for k, v in f.items()) + "."
    else:
        keys, f, s = fields(r)
    if r.random() < 0.3 and len(keys) > 2: keys = r.sample(keys, r.randint(2, len(keys)))
    elif r.random() < 0.4: keys = r.sample(keys, len(keys))
    names = [pick(r, ALIAS.get(k, [k])) if r.random() < 0.3 else k for k in keys]
    a = dumps({n: f[k] for n, k in zip(names, keys)})
    nl = ", ".join(names[:-1]) + " and " + names[-1]
    x = r.random()
    if x < 0.3:
        schema = {"type": "object", "properties": {n: {"type": "integer" if isinstance(f[k], int) else "string"} for n, k in zip(names, keys)}, "required": names}
        u = pick(r, f"{s}\nAnswer with JSON that fits this schema: {dumps(schema)}", f"Extract data from the text as JSON with this schema: {dumps(schema)}\n{s}")
    else:
        u = pick(r, f"Extract {nl} as JSON: {s}", f"Extract {nl} as JSON from this sentence: {s}", f"{s} Extract {nl} as JSON.", f"Return JSON with {nl}: {s}", f"Give me {nl} as JSON.\n{s}", f"Turn this into JSON with the keys {nl}: {s}", f"Extract the fields {nl} from the text and answer in JSON.\n\nText: {s}")
    return dict(u=u, a=a, s=a, check=None)

# statement, yes/no question, open question, values
PASS_TRAITS = [("has a {x}", "Does {n} have a {x}?", "What does {n} have?", "dog cat bicycle garden boat piano parrot car guitar horse camera map robot lamp kite".split()),
               ("likes {x}", "Does {n} like {x}?", "What does {n} like?", "tea coffee pizza music chess rain soup tennis poems snow football honey".split()),
               ("lives in {x}", "Does {n} live in {x}?", "Where does {n} live?", None),
               ("works as a {x}", "Is {n} a {x}?", "What is the job of {n}?", "teacher doctor baker farmer pilot nurse painter writer lawyer singer".split()),
               ("is {x} years old", "Is {n} {x} years old?", "How old is {n}?", [str(i) for i in range(5, 90)]),
               ("speaks {x}", "Does {n} speak {x}?", "Which language does {n} speak?", "English French German Spanish Italian Polish Greek Japanese Dutch".split())]
FRAMES = ["{t} {q}", "Text: {t}\nQuestion: {q}", "Read this: {t}\n{q}", "{t}\n{q}", "Read the text and answer the question.\n\n{t}\n\n{q}", "{q}\n{t}", "Passage: {t} Question: {q}", "\"{t}\" {q}"]
def reading(r):
    """A short text about one to three people, and a question whose answer is in it. Yes and no are equally likely, and a wrong value is mostly one that the text holds for somebody else."""
    names = []
    while len(names) < 3:
        n = person(r)
        if n not in names: names.append(n)
    value = lambda t: pick(r, t[3]) if t[3] else city(r)
    said = []
    for n in names[:r.choices([1, 2, 3], [3, 5, 2])[0]]:
        ts = [t for _, t, _ in said] if said and r.random() < 0.5 else []
        for t in list(dict.fromkeys(map(id, r.sample(PASS_TRAITS, r.randint(1, 2)) + ts[:1])))[:2]:
            t = next(u for u in PASS_TRAITS if id(u) == t); said.append((n, t, value(t)))
    lines = []
    for n in names:
        mine = [t[0].format(x=v) for w, t, v in said if w == n]
        if len(mine) == 2 and r.random() < 0.7: lines.append(f"{n} {mine[0]} and {mine[1]}.")
        else: lines += [f"{n} {m}." for m in mine]
    if r.random() < 0.4: r.shuffle(lines)
    text = " ".join(lines)
    who, t, v = pick(r, said)
    true = f"{who} {t[0].format(x=v)}."
    x = r.random()
    if x < 0.35:
        q, a, s = t[2].format(n=who), true, v
    elif x < 0.4:
        other = pick(r, [n for n in names if n not in {w for w, _, _ in said}] or ["Zed"]); q, a, s = t[2].format(n=other), f"The text does not say anything about {other}.", other
    else:
        ok = r.random() < 0.5; y = v
        if not ok:
            others = [z for w, u, z in said if u is t and z != v]
            while y == v: y = pick(r, others) if others and r.random() < 0.7 else value(t)
        q = t[1].format(n=who, x=y); s = "Yes" if ok else "No"
        a = f"{true[:-1]}, so the answer is {s.lower()}."  # what the text says comes first: then the two can be compared word by word
        if r.random() < 0.25: q += " Answer yes or no."
    return dict(u=pick(r, FRAMES).format(t=text, q=q), a=a, s=s)

POS = ["wonderful", "great", "excellent", "fantastic", "lovely", "amazing", "perfect", "delightful", "superb", "very good"]
NEG = ["terrible", "awful", "bad", "horrible", "boring", "disappointing", "poor", "dreadful", "ugly", "very bad"]
THING = ["movie", "book", "hotel", "food", "service", "concert", "phone", "game", "trip", "restaurant", "film", "meal", "room", "show", "weather"]
PTAIL = ["I loved it.", "I would go again.", "Highly recommended!", "It made my day.", "I am very happy.", "Everyone enjoyed it.", ""]
NTAIL = ["I hated it.", "I want my money back.", "Never again.", "What a waste of time.", "I am very unhappy.", "Nobody liked it.", ""]
def sentiment(r):
    t = pick(r, THING); x = r.random()
    if x < 0.42: s, l = f"The {t} was {pick(r, POS)}. {pick(r, PTAIL)}", "positive"
    elif x < 0.84: s, l = f"The {t} was {pick(r, NEG)}. {pick(r, NTAIL)}", "negative"
    elif x < 0.92: s, l = f"The {t} was not {pick(r, 'good', 'great', 'nice')}. {pick(r, NTAIL)}", "negative"
    else: s, l = pick(r, f"The {t} was okay.", f"The {t} starts at {r.randint(2,9)}.", f"I went to the {t} on {pick(r, DAYS)}.", f"The {t} was average."), "neutral"
    s = s.strip()
    return dict(u=pick(r, f"Is this positive or negative? {s}", f"Classify the sentiment: {s}", f"What is the sentiment of this review? {s}", f"Sentiment of: \"{s}\"", f"Tell me the sentiment (positive, negative or neutral): {s}"), a=f"The sentiment is {l}.", s=l)

# ---------------------------------------------------------------- stories
S_ANIMAL = "cat dog rabbit mouse fox bear bird frog turtle duck owl squirrel pony lion dragon robot".split()
S_PLACE = ["in a green forest", "near a quiet lake", "on a small farm", "in a little town", "by the sea", "on a high hill", "in an old castle", "in a sunny garden", "at the edge of a wood", "on a tiny island"]
S_ADJ = ["little", "kind", "brave", "curious", "shy", "clever", "happy", "gentle", "funny", "lonely"]
S_THING = ["a shiny key", "a red ball", "a golden coin", "an old map", "a blue feather", "a small lamp", "a silver bell", "a lost letter", "a warm hat", "a magic seed"]
S_WISH = ["to see the world", "to find a friend", "to fly", "to learn to sing", "to see the snow", "to touch the moon", "to build a boat", "to grow a flower"]
S_FOOD = ["warm bread", "sweet honey", "apple cake", "hot soup", "fresh berries", "cookies and milk"]
def story_text(r, hero=None, name=None, thing=None):
    n = name or person(r, 0.25)
    kind = hero or (pick(r, S_ANIMAL) if r.random() < 0.65 else pick(r, "boy", "girl"))
    p = "he" if r.random() < 0.5 else "she"
    if kind == "boy": p = "he"
    if kind == "girl": p = "she"
    pos, obj = ("his", "him") if p == "he" else ("her", "her")
    P = cap(p)
    adj, place = pick(r, S_ADJ), pick(r, S_PLACE)
    th = thing or pick(r, S_THING); the = "the " + th.split(" ", 1)[1]
    f = pick(r, [x for x in PEOPLE if x != n]); fk = pick(r, [x for x in S_ANIMAL if x != kind])
    o = [pick(r, f"Once upon a time, there was {article(adj)} {kind} named {n}.", f"Once there was {article(adj)} {kind} called {n}.", f"{n} was {article(adj)} {kind}.", f"Long ago, {article(adj)} {kind} named {n} was born.")]
    o[0] = o[0] + pick(r, f" {P} lived {place}.", f" {n} lived {place}.")
    o.append(pick(r, f"Every day {p} liked to play outside.", f"{P} loved {pick(r, S_FOOD)}.", f"{P} always wanted {pick(r, S_WISH)}.", f"All the neighbors liked {obj}."))
    plot = r.randrange(5)
    if plot == 0:
        o += [f"One {pick(r, 'morning', 'day', 'evening')}, {n} found {th} {pick(r, 'under a tree', 'on the path', 'in the grass', 'behind a stone')}.", pick(r, f"\"Whose is this?\" {p} asked.", f"\"How pretty!\" said {n}."),
              f"{P} met {article(fk)} named {f}, who looked very sad.", f"\"I lost {the},\" said {f}.", f"{n} smiled and gave {the} back.", f"{f} was so happy that the two became friends."]
    elif plot == 1:
        o += [f"One day a big storm came and the wind was loud.", f"{n} was {pick(r, 'afraid', 'scared', 'worried')} and ran into {pick(r, 'a cave', 'a barn', 'an empty house', 'a hollow tree')}.", f"There {p} saw {article(fk)} named {f}.", f"\"Do not be afraid,\" said {f}. \"We can wait together.\"", f"They told each other stories until the rain stopped.", f"In the morning the sun came out and there was a rainbow."]
    elif plot == 2:
        o += [f"One day {n} wanted to climb the highest hill.", f"\"You are too small,\" said {f} the {fk}.", f"But {n} did not give up.", f"{P} went up step by step, and when {p} was tired, {p} rested.", f"At last {n} stood at the top and saw the whole valley.", f"\"You did it!\" cried {f}."]
    elif plot == 3:
        o += [f"One night {n} could not sleep, so {p} looked at the stars.", f"A small star fell from the sky into the {pick(r, 'grass', 'lake', 'garden', 'snow')}.", f"\"Please help me home,\" said the star.", f"{n} asked {f} the {fk} for help.", f"Together they built a tall ladder and put the star back.", f"Since then it shines a little brighter for {obj}."]
    else:
        o += [f"One day {n} baked {pick(r, S_FOOD)} but had nobody to share it with.", f"{P} walked down the road and met {f} the {fk}.", f"\"I am so hungry,\" said {f}.", f"\"Then eat with me,\" said {n}.", f"They sat down, ate and laughed all afternoon.", f"The food was gone, but {n} was not lonely any more."]
    o.append(pick(r, f"And {n} went home with a warm heart.", "From that day on they played together every day.", f"{n} learned that it is good to be kind.", "And they all lived happily ever after.", f"That night {n} slept very well.", "It was the best day of all. The end."))
    return " ".join(o), n, kind
def story(r):
    x = r.random()
    if x < 0.25:
        t, n, k = story_text(r)
        u = pick(r, "Tell me a story.", "Write a short story.", "Tell me a bedtime story.", "Can you tell me a story?", "I want to hear a story.", "Make up a story.", "Once upon a time", "story please")
        key = None
    elif x < 0.6:
        k = pick(r, S_ANIMAL + ["boy", "girl"]); t, n, k = story_text(r, hero=k)
        u = pick(r, f"Tell me a story about {article(k)}.", f"Write a short story about {article(k)}.", f"Can you tell a story about {article(k)}?", f"Write a story with {article(k)} in it.", f"A story about {article(k)}, please.")
        key = k
    else:
        k = pick(r, S_ANIMAL + ["boy", "girl"]); n = person(r); t, n, k = story_text(r, hero=k, name=n)
        u = pick(r, f"Tell me a story about {article(k)} named {n}.", f"Write a short story about {n} the {k}.", f"Write a story about {article(k)} called {n}.", f"Tell me a bedtime story about {n}, {article(k)}.")
        key = n
    def check(o):
        return 45 <= len(o.split()) <= 170 and o[-1:] in ".!\"" and (key is None or key in o)
    return dict(u=u, a=t, s=key, check=check)

# ---------------------------------------------------------------- memory over several turns
def memory(r):
    """Several turns whose last question needs an earlier one."""
    n, a, c, f, col = person(r), r.randint(6, 80), city(r), pick(r, FOODS), pick(r, LISTS["colors"])
    kinds = {
        "name": (pick(r, f"My name is {n}.", f"I am {n}.", f"Call me {n}."), f"Nice to meet you, {n}!", pick(r, "What is my name?", "Do you remember my name?", "What's my name?", "Who am I?"), f"Your name is {n}.", n),
        "age": (pick(r, f"I am {a} years old.", f"My age is {a}."), f"Thank you, you are {a} years old.", pick(r, "How old am I?", "What is my age?"), f"You are {a} years old.", str(a)),
        "city": (pick(r, f"I live in {c}.", f"My home is in {c}."), f"{c} sounds like a nice place.", pick(r, "Where do I live?", "Which city do I live in?"), f"You live in {c}.", c),
        "food": (pick(r, f"I like {f}.", f"My favorite food is {f}."), f"{cap(f)}! Good choice.", pick(r, "What do I like to eat?", "What is my favorite food?"), f"You like {f}.", f),
        "color": (pick(r, f"My favorite color is {col}.", f"I love the color {col}."), f"{cap(col)} is a nice color.", pick(r, "What is my favorite color?", "Which color do I like?"), f"Your favorite color is {col}.", col),
        "number": (pick(r, f"Remember the number {a}.", f"My lucky number is {a}.", f"Keep the number {a} in mind."), f"Okay, I will remember {a}.", pick(r, "What was the number?", "Which number did I tell you?", "What number should you remember?"), f"The number is {a}.", str(a)),
    }
    ks = r.sample(list(kinds), pick(r, 1, 1, 2, 2, 3))
    turns = [(kinds[k][0], kinds[k][1]) for k in ks]
    if r.random() < 0.4:
        e = simple(r); turns.append((e["u"], e["a"]))
    q = pick(r, ks); turns.append((kinds[q][2], kinds[q][3]))
    return dict(turns=turns, s=kinds[q][4])
def followup(r):
    """A second question that leans on the first."""
    x = r.random()
    if x < 0.4:
        n, c, cur, cont = country(r); m = country(r)
        t = [(f"What is the capital of {n}?", f"The capital of {n} is {c}.")]
        y = r.random()
        if y < 0.4: t.append((pick(r, f"And {m[0]}?", f"And of {m[0]}?", f"What about {m[0]}?"), f"The capital of {m[0]} is {m[1]}.")); s = m[1]
        elif y < 0.7: t.append((pick(r, "And its currency?", "What is its currency?", "Which currency do they use there?"), f"The currency of {n} is the {cur}.")); s = cur
        else: t.append((pick(r, "Which continent is it in?", "On which continent is that?"), f"{cap(n)} is in {cont}.")); s = cont
        return dict(turns=t, s=s)
    a, b, k = r.randint(1, 30), r.randint(1, 30), r.randint(1, 9)
    t = [(f"What is {a} + {b}?", add_text(a, b))]; v = a + b
    if x < 0.7: t.append((pick(r, f"Add {k} to that.", f"Now add {k}.", f"And plus {k}?"), f"{v} + {k} = {v+k}.")); s = str(v+k)
    else:
        k = min(k, v); t.append((pick(r, f"Subtract {k} from that.", f"Now subtract {k}.", f"Minus {k}?"), f"{v} - {k} = {v-k}.")); s = str(v-k)
    return dict(turns=t, s=s)

SIMPLE = [capital, currency, continent, colour, opposite, animal, calendar, arithmetic, compare, define, qa, grammar]
def simple(r):
    while True:
        e = pick(r, SIMPLE)(r)
        if not held_out(e["u"]): return e

# ---------------------------------------------------------------- system prompts that set a style
def style(r):
    x = r.random()
    e = pick(r, [capital, capital, currency, colour, opposite, animal, calendar, arithmetic, compare, grammar])(r)
    if x < 0.25:
        sysm = pick(r, "You are a pirate.", "Talk like a pirate.", "You are a pirate captain. Answer like a pirate.", "Always answer in pirate style.", "Speak like a pirate.")
        a = f"Arr, matey! {e['a']} Yo ho ho!"
        if r.random() < 0.3:
            e = dict(u=pick(r, "Hello", "Hi!", "Who are you?", "Hello there", "Hey"), s="Arr"); a = "Ahoy, matey! I be Tiny Chat, the smallest pirate of this engine. Arr!" if e["u"].startswith("Who") else "Ahoy, matey! What can I do for ye? Arr!"
    elif x < 0.5:
        sysm = pick(r, "Answer with one word.", "Be terse.", "Answer as briefly as possible.", "Give only the answer, no sentence.", "Reply with the answer only.", "Keep answers very short.")
        a = e["s"]
    elif x < 0.75:
        sysm = pick(r, "Answer only in JSON.", "Reply with JSON only.", "You output JSON only.", "Always answer with a JSON object with the key answer.", "Respond in JSON with one key, answer.")
        v = e["s"]; a = dumps({"answer": int(v) if v.isdigit() else v})
    elif x < 0.85:
        sysm = pick(r, "Answer in capital letters.", "ALWAYS SHOUT.", "Write everything in upper case.")
        a = e["a"].upper()
    elif x < 0.93:
        n = person(r); role = pick(r, "bakery", "library", "hotel", "school", "museum", "bookshop", "zoo", "garden shop")
        sysm = pick(r, f"You are {n}, an assistant for a {role}.", f"Your name is {n}. You help the guests of a {role}.")
        e = dict(u=pick(r, "Who are you?", "What is your name?", "Hello, who is this?", "Who am I talking to?"), s=n); a = f"I am {n}, your assistant for the {role}. I run on a tiny demo model."
    else:
        sysm = pick(r, "You are a very polite butler.", "Answer like a polite butler.", "Be extremely polite.")
        a = f"Certainly, dear friend. {e['a']}"
    return dict(system=sysm, turns=[(e["u"], a)], s=e["s"])

SYSTEMS = ["You are a helpful assistant.", "You are a helpful assistant.", "You are a helpful AI assistant.", "You are a friendly assistant.", "You are Tiny Chat, a helpful assistant.", "Answer the question.", "You are a helpful and honest assistant. Keep your answers short.", "Be helpful.",
           "You are an assistant.", "Answer briefly.", "You are a concise assistant.", "You answer questions.", "You are a helpful assistant that can use tools.", "Help the user.", "You are a bot for tests.", "Be brief and correct."]

# skill -> (function, weight)
SKILLS = dict(greet=(greet, 2), talk=(talk, 3), identity=(identity, 4), capital=(capital, 10), currency=(currency, 6), continent=(continent, 5), colour=(colour, 2), opposite=(opposite, 5),
              animal=(animal, 3), qa=(qa, 5), define=(define, 22), unknown=(unknown, 2), live=(live, 2), joke=(joke, 0.5), funfact=(funfact, 0.5), poem=(poem, 0.4), translate=(translate, 2), code=(code, 0.6),
              calendar=(calendar, 2), counting=(counting, 2), arithmetic=(arithmetic, 12), compare=(compare, 3), spell=(spell, 11), sorting=(sorting, 3), rhyme=(rhyme, 1.5), grammar=(grammar, 3), units=(units, 2),
              lists=(lists, 3), rewrite=(rewrite, 3), copying=(copying, 5), reading=(reading, 13), extract=(extract, 10), sentiment=(sentiment, 1.5), story=(story, 2))
NAMES, WEIGHTS = list(SKILLS), [w for _, w in SKILLS.values()]
