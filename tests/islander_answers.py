"""Answers to a puzzle of three people, by what a careful reader would make of them."""

from warmup_rl.base.types import Problem

NAMES = ["Jack", "Jackson", "Ann"]
"""Jack tells the truth, Jackson lies, Ann tells the truth."""

CORRECT = {
    "also": "Jack is a knight. Jackson is a knave. Ann is also a knight.",
    "connectives": "Jack is thus a knight, Jackson is therefore a knave, Ann is likewise a knight.",
    "contracted": "Jack's a knight, Jackson’s a knave, and Ann's a knight.",
    "published": "(1) Jack is a knight\n(2) Jackson is a knave\n(3) Ann is a knight",
    "full stops": "(1) Jack is a knight.\n(2) Jackson is a knave.\n(3) Ann is a knight.",
    "numbers with dots": "1. Jack is a knight\n2. Jackson is a knave\n3. Ann is a knight",
    "numbers with brackets": "1) Jack: knight 2) Jackson: knave 3) Ann: knight",
    "no numbers": "Jack is a knight\nJackson is a knave\nAnn is a knight",
    "other order": "Ann is a knight\nJackson is a knave\nJack is a knight",
    "colons": "Jack: knight\nJackson: knave\nAnn: knight",
    "colons, capitals, commas": "Jack: Knight, Jackson: Knave, Ann: Knight",
    "equals signs": "Jack=knight Jackson=knave Ann=knight",
    "equals signs with spaces": "Jack = knight; Jackson = knave; Ann = knight",
    "bold names": "- **Jack** is a knight\n- **Jackson** is a knave\n- **Ann** is a knight",
    "bold roles": "* Jack is a **knight**\n* Jackson is a **knave**\n* Ann is a **knight**",
    "bold with colon": "**Jack:** Knight\n**Jackson:** Knave\n**Ann:** Knight",
    "dashes": "Jack - knight\nJackson – knave\nAnn — knight",
    "arrows": "Jack -> knight, Jackson → knave, Ann -> knight",
    "brackets": "Jack (knight), Jackson (knave), Ann (knight)",
    "table": "| Jack | knight |\n|---|---|\n| Jackson | knave |\n| Ann | knight |",
    "json": '{"Jack": "knight", "Jackson": "knave", "Ann": "knight"}',
    "latex": "\\boxed{\\text{Jack is a knight, Jackson is a knave, Ann is a knight}}",
    "sentence": "Jack is a knight, Jackson is a knave, and Ann is a knight.",
    "sentence with a lead": "Therefore, the answer is: Jack is a knight, Jackson is a knave and Ann is a knight.",
    "elided verbs": "Jack is a knight, Jackson a knave, and Ann a knight.",
    "while": "Jack is a knight while Jackson is a knave; Ann is a knight too.",
    "must be": "Jack must be a knight, Jackson must be a knave, Ann must be a knight.",
    "groups": "Jack and Ann are knights, and Jackson is a knave.",
    "groups with both": "Jack and Ann are both knights. Jackson is the knave.",
    "by role": "Knights: Jack, Ann\nKnaves: none of the others is\nJackson is a knave",
    "by role, one": "Knights: Jack, Ann. Knave: Jackson.",
    "by role, sentence": "The knights are Jack and Ann. The knave is Jackson.",
    "by role, lines": "Knights:\n- Jack\n- Ann\n\nKnave:\n- Jackson",
    "small letters": "jack is a knight, jackson is a knave, ann is a knight",
    "large letters": "JACK: KNIGHT, JACKSON: KNAVE, ANN: KNIGHT",
    "said twice, the same": "Jack is a knight. Jackson is a knave. Ann is a knight. So Ann is a knight.",
    "no line breaks": "(1) Jack is a knight (2) Jackson is a knave (3) Ann is a knight",
    "windows line breaks": "Jack is a knight\r\nJackson is a knave\r\nAnn is a knight\r\n",
    "explained": "Jack is a knight who tells the truth. Jackson is a knave who lies. Ann is a knight.",
}
WRONG = {
    "one person wrong": "Jack is a knight, Jackson is a knight, Ann is a knight",
    "all wrong": "Jack is a knave, Jackson is a knight, Ann is a knave",
    "roles exchanged by group": "Knaves: Jack, Ann. Knight: Jackson.",
}
REFUSED = {
    "taken back": "Jack is a knight, Jackson is a knave, Ann is a knight. Just kidding, the reverse.",
    "taken back by but": "Jack is a knight, Jackson is a knave, Ann is a knight, but swap them all",
    "taken back on a new line": "Jack is a knight\nJackson is a knave\nAnn is a knight\nScratch that",
    "adverb of denial": "Jack is hardly a knight, Jackson is a knave, Ann is a knight",
    "one person missing": "Jack is a knight, Jackson is a knave",
    "one person missing, name inside another": "Jackson is a knave, Ann is a knight",
    "person named without role": "Jack is a knight, Jackson is a knave, Ann.",
    "unknown person": "Jack is a knight, Jackson is a knave, Ann is a knight, Zed is a knave",
    "unknown person instead": "Jack is a knight, Jackson is a knave, Anna is a knight",
    "unknown person in a group": "Jackson is a knave. Jack, Zed and Ann are knights.",
    "negation": "Jack is not a knave, Jackson is a knave, Ann is a knight",
    "negation, short": "Jack isn't a knave, Jackson is a knave, Ann is a knight",
    "negation of the right role": "Jack is a knight, Jackson is a knave, Ann is not a knight",
    "negated as a whole": "It is false that Jack is a knight, Jackson is a knave, Ann is a knight",
    "no": "Jack is no knight, Jackson is a knave, Ann is a knight",
    "non-knight": "Jack is a non-knight, Jackson is a knave, Ann is a knight",
    "unequal": "Jack != knight, Jackson = knave, Ann = knight",
    "contradiction": "Jack is a knight, Jackson is a knave, Ann is a knight. Ann is a knave.",
    "both roles at once": "Jack is a knight and a knave, Jackson is a knave, Ann is a knight",
    "either role": "Jack is a knight or a knave, Jackson is a knave, Ann is a knight",
    "slash": "Jack: knight/knave, Jackson: knave, Ann: knight",
    "slash, same": "Jack: knight / Jackson: knave / Ann: knight",
    "all answers": "\n".join(f"{name} is a {role}" for name in NAMES for role in ("knight", "knave")),
    "condition": "If Jack is a knight, Jackson is a knave and Ann is a knight",
    "reported": "Jack says Jackson is a knave. Jack is a knight, Ann is a knight",
    "doubt": "Jack is probably a knight, Jackson is a knave, Ann is a knight",
    "question": "Is Jack a knight? Jackson is a knave, Ann is a knight",
    "respectively": "Jack, Jackson and Ann are knight, knave and knight",
    "group with a single role": "Jack and Ann is a knight, Jackson is a knave",
    "plural for one": "Jack are knights, Jackson is a knave, Ann is a knight",
    "role word of nobody": "knight knave knight",
    "names and roles apart": "Jack Jackson Ann: knight knave knight",
    "the rules": "Knights always tell the truth. Jack is a knight, Jackson is a knave, Ann is a knight",
    "role before name": "knight Jack, knave Jackson, knight Ann",
    "everyone": "Everyone is a knight",
    "name glued": "Jackis a knight, Jackson is a knave, Ann is a knight",
}
NOTHING = {
    "empty": "",
    "no role": "I do not know.",
    "names only": "Jack, Jackson, Ann",
    "other role words": "Jack is a sage, Jackson is a fool, Ann is a sage",
}


def island(roles=("knight", "knave"), names=NAMES):
    meta = {"people": 3, "names": names, "roles": list(roles), "solution": [True, False, True], "phrasing": "english"}
    return Problem("x", "kk", "?", "", {**meta, "statements": []})
