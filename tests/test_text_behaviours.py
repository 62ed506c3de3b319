"""Snippets labelled by hand with the behaviours they show, written before the phrases that find them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.text.behaviours import BEHAVIOURS, behaviour_counts

HESITATION, PATHS, BACKTRACKING = "hesitation", "several_paths", "backtracking"
SUMMARY, VERIFICATION, SWITCHING = "interim_summary", "verification", "language_switching"

ENGLISH: list[tuple[str, set[str]]] = [
    ("Wait, is 7 used twice here?", {HESITATION}),
    ("Hmm, 3*8=24 is too large.", {HESITATION}),
    ("I'm not sure this holds for n = 1.", {HESITATION}),
    ("Hold on. The question asks for the smallest one.", {HESITATION}),
    ("Maybe the order matters here.", {HESITATION}),
    ("But wait, the upper limit is 2e.", {HESITATION}),
    ("Perhaps I am overcomplicating this.", {HESITATION}),
    ("maybe 4*4=16, 16+9=25 vs 32 no\nnot sure.", {HESITATION}),
    ("Add 3 and 4 first. Alternatively, multiply 3 by 4.", {PATHS}),
    ("try 7+4=11, 11-8=3 vs 29 no\ntry 7*4=28, 28+8=36 vs 29 no", {PATHS}),
    ("try 7-5=2: 2+8=10 vs 21 no, 8-2=6 vs 21 no\ntry 7+5=12: 12+8=20 vs 21 no\njust guess.", {PATHS}),
    ("7-1=6, 6+3=9 vs 10 no\n8-2=6, 6*1=6 vs 10 no\njust guess.", {PATHS}),
    ("Case 1: x is even, so x = 2k. Case 2: x is odd, so x = 2k + 1.", {PATHS}),
    ("Counting directly is long. Let's use a different approach: count the complement.", {PATHS}),
    ("Let me try x = 3. Too small. Let me try x = 5. Too large.", {PATHS}),
    (
        "try A knave, B knight.\nA says B is a knave: false, knave, ok.\n"
        "B says A and B are different: true, knave, no.\nwait, try A knight, B knave.",
        {HESITATION, PATHS, BACKTRACKING},
    ),
    (
        "suppose A is a knight.\nA says B is a knave. it is true, so B is a knave.\n"
        "B says A and B are different. it is false, but it can not be.\nso A is a knave.",
        {PATHS, BACKTRACKING},
    ),
    ("That's wrong, 6*7 is 42. Let me redo this step.", {BACKTRACKING}),
    ("This doesn't work, so let's go back to the first equation.", {BACKTRACKING}),
    ("On second thought, the base case is n = 2.", {BACKTRACKING}),
    ("Wait, that can't be right. Let me reconsider.", {HESITATION, BACKTRACKING}),
    ("Wait, no, the denominator is 4.", {HESITATION, BACKTRACKING}),
    ("I made a mistake above: it should be minus.", {BACKTRACKING}),
    ("If x is odd, then x + 1 is odd, which leads to a contradiction.", {BACKTRACKING}),
    ("So far we have x = 3 and y = 4.", {SUMMARY}),
    ("Let me summarize what we know: A is a knave and C is a knight.", {SUMMARY}),
    ("To recap, there are 12 pens and 5 of them are red.", {SUMMARY}),
    ("check: 12+9=21, ok.", {VERIFICATION}),
    ("first, 12+17=29.\nnow 1 less: 29-1=28.\ncheck: 28+1=29, ok.", {VERIFICATION}),
    ("Let me double-check the multiplication: 12*12 = 144.", {VERIFICATION}),
    ("Plugging x = 3 back into the equation gives 9 = 9, which is right.", {VERIFICATION}),
    ("Let's verify: 3+4+5 = 12.", {VERIFICATION}),
    (
        "try A knight, B knave.\nA says B is a knave: true, knight, ok.\n"
        "B says A is a knave: false, knave, ok.\nall fit.",
        {VERIFICATION},
    ),
    ("try 5+9=14, 14+4=18 vs 18 yes\ncheck: 5+9=14, 14+4=18 yes\nit is (5+9)+4.", {VERIFICATION}),
]

ENGLISH_WITHOUT: list[tuple[str, set[str]]] = [
    ("The weight of the box is 12 kg and it weighs more than the other.", set()),
    ("The waiter brings 3 plates, then another waiter brings 4.", set()),
    ("There are 40 names on the wait list and 12 people leave it.", set()),
    ("She waits 5 minutes for the bus and then walks for 10.", set()),
    ("Wait for the second train, which leaves at 9.", set()),
    ("get hot water, then put in the tea and wait.", set()),
    ("Let me think. The answer should be 12.", set()),
    ("He writes a check for 30 dollars and a second check for 20 dollars.", set()),
    ("The function checks if x is even and returns True.", set()),
    ("We are asked to verify that the sum is odd for all n.", set()),
    ("She pays at the checkout and puts the receipt in suitcase 2.", set()),
    ("Each country sends 3 athletes, so every entry costs 5.", set()),
    ("Let me try to understand the question first.", set()),
    ("He is supposed to pay 3 coins for each.", set()),
    ("Alternating signs give 1 - 1 + 1 = 1.", set()),
    ("Both are possible values of x: 2 and 5.", set()),
    ("The summary statistics are the mean and the median.", set()),
    ("Tom has read 30 pages so far and reads 12 a day.", set()),
    ("A contradiction is a statement that is always false.", set()),
    ("It is wrong to steal, said the teacher.", set()),
    ("She goes back to school at 2 and comes home at 4.", set()),
    ("It can not be divided by 3.", set()),
    ("first, 7 times 2: 7*2=14.\nso 12 more: 14+12=26.", set()),
    ("try 7+4=11, 11-8=3 vs 29 no\ntry 7+4=11, 11-8=3 vs 29 no", set()),
    ("try 7*4=28, 28+8=36 vs 36 yes\ndone.", set()),
    ("There are 6 different ways to order 3 books.", set()),
    ("First, add the numbers. Second, subtract 4.", set()),
    ("f reverses the list x.\nthen f adds 3.", set()),
    ("```python\n# check: wait, let me redo this\nx = 1\n```", set()),
]

CHINESE: list[tuple[str, set[str]]] = [
    ("等等,7用了两次。", {HESITATION}),
    ("嗯，这里有点复杂。", {HESITATION}),
    ("我不确定这样行不行。", {HESITATION}),
    ("等一下，题目问的是最小的数。", {HESITATION}),
    ("也许顺序很重要。", {HESITATION}),
    ("不对，应该先算括号里的。", {BACKTRACKING}),
    ("等等，不对，重新算一遍。", {HESITATION, BACKTRACKING}),
    ("我刚才算错了，应该是减号。", {BACKTRACKING}),
    ("这个思路行不通，换个方法，用方程来做。", {BACKTRACKING, PATHS}),
    ("可以先算和。另一种方法是先算差。", {PATHS}),
    ("试3*4=12, 12+5=17比20不对\n再试3+5=8, 8*4=32比20不对", {PATHS}),
    ("第一种情况，x是偶数。第二种情况，x是奇数。", {PATHS}),
    ("所以目前有x=3和y=4。", {SUMMARY}),
    ("到目前为止，我们知道A是骗子。", {SUMMARY}),
    ("先小结一下：红笔5支，蓝笔7支。", {SUMMARY}),
    ("检查: 12+9=21,对了。", {VERIFICATION}),
    ("让我检查一下计算。", {VERIFICATION}),
    ("验算：3+4+5=12，正确。", {VERIFICATION}),
    ("把x=3代入原方程验证，两边相等。", {VERIFICATION}),
    ("试A骗子,B骑士。\nA说B是骗子:假,骗子,可以。\nB说A和B不同:真,骑士,可以。\n都对。", {VERIFICATION}),
    (
        "假设A是骑士。\nA说B是骗子。是真的,所以B是骗子。\nB说A是骑士。是假的,但是不行。\n所以A是骗子。",
        {PATHS, BACKTRACKING},
    ),
    (
        "试A骗子,B骑士。\nB说A是骑士:假,骑士,不行。\n等等,试A骑士,B骑士。",
        {HESITATION, PATHS, BACKTRACKING},
    ),
]

CHINESE_WITHOUT: list[tuple[str, set[str]]] = [
    ("小明考试得了90分，小红的测试得了85分。", set()),
    ("他在检查站等了5分钟。", set()),
    ("苹果、梨、香蕉等等，一共12个。", set()),
    ("然后放茶,等一下就好。", set()),
    ("警察检查了3辆车，又检查了4辆。", set()),
    ("重新开张的商店卖了12本书。", set()),
    ("x可能的值是2和5。", set()),
    ("先算12-9=3。\n所以答案是3。", set()),
    ("公司验证了30个账号。", set()),
    ("总结大会有30人参加。", set()),
    ("图形不对称，所以分两步算。", set()),
    ("对不对都给5分。", set()),
    ("甲和乙比赛，甲比乙快3秒。", set()),
    ("小明目前有3个苹果。", set()),
    ("第一，先算和。第二，再算差。", set()),
    ("一共有6种不同的方法。", set()),
    ("试3*4=12, 12+5=17比17对了", set()),
    ("把3代入f(x)=2x+1,得到7。", set()),
]

MIXED: list[tuple[str, set[str]]] = [
    ("try 7*4=28, 28+8=36 vs 29 no\n试7+8=15, 15+4=19比29不对", {PATHS, SWITCHING}),
    ("首先, we add 3 and 4, 然后减去2。", {SWITCHING}),
    ("hmm 2+1=3, 3-2=1比1对了", {HESITATION, SWITCHING}),
    ("The word for water is 水.", {SWITCHING}),
    ("B说A是骑士:假,骑士,不行。\nwait, try A knight, B knight.", {HESITATION, SWITCHING}),
    ("A说B是骗子,B说A是骑士。", set()),
    ("用x和y表示,x+y=7。", set()),
    ("先写`print(x)`再运行。", set()),
    ("解$x + yes$得到3。", set()),
]

LABELLED = ENGLISH + ENGLISH_WITHOUT + CHINESE + CHINESE_WITHOUT + MIXED
AGREEMENT = 0.95


def shown(text: str) -> set[str]:
    return {name for name, count in behaviour_counts(text, "en").items() if count}


def test_labels_and_counts_agree_on_nearly_every_snippet() -> None:
    differing = {text: (shown(text), expected) for text, expected in LABELLED if shown(text) != expected}
    assert len(LABELLED) >= 60
    assert len(differing) <= (1 - AGREEMENT) * len(LABELLED), differing


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_every_behaviour_is_labelled_often_enough_to_be_tested(name: str) -> None:
    positive = sum(name in expected for _, expected in LABELLED)
    assert positive >= 4
    assert positive <= len(LABELLED) / 2


@pytest.mark.parametrize(
    ("name", "text", "count"),
    [
        ("hesitation", "hmm 2+1=3 vs 4 no\nmaybe 2*1=2 vs 4 no\nnot sure.", 3),
        ("several_paths", "try 1+2=3 vs 9 no\nmaybe 2*3=6 vs 9 no\nwait, try 3*3=9 vs 9 yes", 3),
        ("several_paths", "try 1+2=3 vs 9 no\nmaybe 1+2=3 vs 9 no\n再试2*3=6比9不对", 2),
        ("several_paths", "First way. Alternatively, a second. Alternatively, a third.", 3),
        ("several_paths", "Alternatively, we could stop.", 0),  # nothing came before it
        ("backtracking", "wait, try 1+2=3 vs 9 no\nwait, try 3*3=9 vs 9 yes", 1),
        ("backtracking", "等等, 试1+2=3比9不对\n等等, 试3*3=9比9对了", 1),
        ("interim_summary", "So far we have x = 3. Putting it all together, y = 4.", 2),
        ("verification", "check: 3*3=9, ok. Let me double-check this.", 2),  # a phrase inside another is one
        ("language_switching", "try 3, 试4, try 5", 2),
        ("language_switching", "试`print`和$x$", 0),
    ],
)
def test_occurrences_are_counted(name: str, text: str, count: int) -> None:
    assert BEHAVIOURS[name](text, "en") == count


def test_words_of_the_questions_own_language_are_told_when_switches_are_counted() -> None:
    assert BEHAVIOURS["language_switching"]("Значит, сумма 12. so it is 12.", "ru") == 1
    assert BEHAVIOURS["language_switching"]("So it is 12.", "not a language") == 0


@given(st.text(max_size=300), st.sampled_from(["en", "zh", "ru", "fr", "?"]))
def test_any_text_is_counted_without_an_error(text: str, language: str) -> None:
    counts = behaviour_counts(text, language)
    assert list(counts) == list(BEHAVIOURS)
    assert all(count >= 0 for count in counts.values())
    assert counts["several_paths"] != 1


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "wait, try ",
            "vs 1",
            "(1=1 ",
            "a different, a b ",
            "i have a b c d ",
            "the approach ",
            "plug a ",
            "so ",
        ),
        *(
            "``",
            "`",
            "$",
            "\0",
            "\ud800",
            "不",
            "等等",
            "另一种方法",
            "   ",
            "试3=3比4\n",
            "1=",
            "let me just now ",
        ),
    ],
)
def test_long_texts_take_linear_time(piece: str) -> None:
    def seconds(size: int) -> float:
        start = time.process_time()
        behaviour_counts(piece * (size // len(piece)), "en")
        return time.process_time() - start

    # 0.3 seconds where nothing else runs; a quadratic pattern would take minutes
    assert seconds(100_000) < 5.0
