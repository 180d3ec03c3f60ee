"""Made-up values. What a table holds can be memorised; what is made up on the spot can only be copied."""
from facts import *

ONSET = "b c d f g h j k l m n p r s t v w z br ch cl dr fl gr kl kr pl sh sk st th tr".split()
VOWEL = "a e i o u a e i o ai ea oo ou".split()
CODA = ["", "", "", "n", "r", "l", "s", "t", "k", "m", "x", "nd", "rk"]
RUDE = "shit tit nig cum fuk fag pus rap anal pis dik sex kun poo pee nazi jew gay hom hor slut".split()

def pick(r, *xs):
    return r.choice(xs[0] if len(xs) == 1 else xs)

def cap(s):
    return s[0].upper() + s[1:]

def made_up(r, syllables=None):
    """A word like 'zorvak', in lower case."""
    n = syllables or r.choices([1, 2, 3], [3, 6, 2])[0]
    while True:
        w = "".join(pick(r, ONSET) + pick(r, VOWEL) for _ in range(n)) + pick(r, CODA)
        if not any(x in w for x in RUDE): return w

ACCENTS = dict(a="áàäåãâ", e="éèëê", i="íïî", o="óöøõô", u="úüû", n="ñ", c="çć", s="š", z="žź", l="ł", y="ý")
SCRIPTS = ["абвгдежзийклмнопрстуфхцчшыэюя", "αβγδεζηθικλμνξοπρστυφχψω", "あいうえおかきくけこさしすせそたちつてとなにのはひまみもやゆよらりるれろわん", "日本中国人大小山川水火木金土月星花海空北東京上下", "אבגדהוזחטיכלמנסעפצקרשת", "가나다라마바사아자차카타파하", "😀🎉🚀🌍🐱🔥⭐🍕", "²½°€£§±×÷µ"]
def accented(r, w):
    """One letter of the word with an accent, where one takes it: bytes beyond ASCII must be copied too."""
    at = [i for i, c in enumerate(w) if c in ACCENTS]
    if not at: return w
    i = pick(r, at)
    return w[:i] + pick(r, ACCENTS[w[i]]) + w[i + 1:]
def foreign(r):
    a = pick(r, SCRIPTS)
    return "".join(pick(r, a) for _ in range(r.randint(1, 5)))

def person(r, invented=0.4):
    """A first name, at times one that exists nowhere, at times with a surname."""
    n = cap(made_up(r, 2)) if r.random() < invented else pick(r, PEOPLE)
    if r.random() < 0.04: n = accented(r, n)
    return f"{n} {cap(made_up(r))}" if r.random() < 0.06 else n

def city(r, invented=0.35):
    c = cap(made_up(r)) if r.random() < invented else pick(r, CITIES)
    if r.random() < 0.06: c = pick(r, accented(r, c), f"{pick(r, 'New', 'San', 'Port', 'North', 'Saint', 'Bad', 'El')} {c}", f"{c} {pick(r, 'City', 'Bay', 'Hill', 'West', 'am See')}")
    return c

def code_word(r):
    """Something like 'A73-K2' or '40918'."""
    if r.random() < 0.4:
        return str(r.randint(10, 10 ** pick(r, 3, 4, 5, 6)))
    return "".join(pick(r, "ABCDEFGHKLMNPRSTVXZ") for _ in range(r.randint(1, 3))) + pick(r, "", "-") + str(r.randint(1, 9999))

def phrase(r, known=()):
    """A short text: one of the known ones, or a new one."""
    if known and r.random() < 0.3:
        return pick(r, known)
    n, w, o = person(r), pick(r, WORDS), pick(r, WORDS)
    return pick(r, f"buy {w} and {o}", f"call {n}", f"bring the {w} to {n}", f"meet {n} at {r.randint(1, 12)}", f"the {w} is near the {o}", f"find a {w} for {n}", f"{w} {o} {pick(r, WORDS)}",
                f"{made_up(r)} {w}", f"clean the {w}", f"{n} is in {city(r)}", f"pay {r.randint(2, 900)} to {n}", f"look at the {w} with {n}", f"{w} number {r.randint(1, 99)}")

def word(r):
    x = r.random()
    return pick(r, WORDS) if x < 0.48 else made_up(r) if x < 0.95 else accented(r, made_up(r)) if x < 0.98 else foreign(r)

def scalar(r):
    """A value for a field: text or a number."""
    x = r.random()
    return r.randint(0, 999) if x < 0.35 else person(r) if x < 0.5 else city(r) if x < 0.62 else code_word(r) if x < 0.72 else word(r)

FIELD_NAMES = """id code color size weight price score level status owner brand model team age height year month room floor seat gate speed power length width
type kind title city street country language phone email grade rank version key label group zone stock balance""".split()
def field_name(r):
    return pick(r, FIELD_NAMES) if r.random() < 0.75 else made_up(r)

def record(r, n=None):
    """Field names and values, in order."""
    n = n or r.randint(2, 5); out = {}
    while len(out) < n:
        out[field_name(r)] = scalar(r)
    return out
