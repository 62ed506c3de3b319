"""Words of code and mark-up, and plain words that these are never made of."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


LATEX = _words(
    """
    alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi pi
    varpi rho varrho sigma varsigma tau upsilon phi varphi chi psi omega omicron aleph beth hbar ell
    imath jmath wp re im frac dfrac tfrac cfrac sqrt root binom dbinom tbinom choose over atop above
    pmod bmod mod stackrel overset underset substack overline underline overbrace underbrace
    overrightarrow overleftarrow widehat widetilde hat bar tilde vec dot ddot dddot acute grave breve
    check mathring not prime backprime sum prod coprod int iint iiint oint lim limsup liminf max min sup
    inf arg argmax argmin det dim ker deg gcd lcm exp log ln lg sin cos tan cot sec csc sinh cosh tanh
    coth arcsin arccos arctan arccot hom operatorname operatornamewithlimits limits nolimits
    displaystyle textstyle scriptstyle scriptscriptstyle times div cdot cdots ldots dots dotsb dotsc
    vdots ddots ast star circ bullet pm mp oplus ominus otimes odot cup cap bigcup bigcap sqcup sqcap
    vee wedge bigvee bigwedge setminus smallsetminus uplus amalg dagger ddagger le leq leqslant ge geq
    geqslant ne neq equiv sim simeq approx cong propto ll gg lt gt prec succ preceq succeq subset supset
    subseteq supseteq subsetneq supsetneq nsubseteq in ni notin mid nmid parallel nparallel perp vdash
    models land lor lnot neg forall exists nexists therefore because implies impliedby iff asymp doteq
    to gets mapsto rightarrow leftarrow leftrightarrow longrightarrow longleftarrow longleftrightarrow
    uparrow downarrow updownarrow nearrow searrow swarrow nwarrow hookrightarrow hookleftarrow
    rightharpoonup rightleftharpoons xrightarrow xleftarrow infty partial nabla emptyset varnothing
    angle measuredangle triangle square blacksquare diamond bigtriangleup degree top bot complement surd
    checkmark cancel bcancel xcancel left right middle big bigg bigl bigr biggl biggr langle rangle
    lfloor rfloor lceil rceil lvert rvert lbrace rbrace lbrack rbrack vert backslash quad qquad space
    hspace vspace enspace thinspace phantom hphantom vphantom hfill vfill newline linebreak par noindent
    indent displaylimits nonumber notag tag label ref eqref cite text textbf textit textrm textsf texttt
    textsc emph mbox hbox fbox boxed box bold bf it rm sf tt cal bm mathbf mathrm mathit mathsf mathtt
    mathcal mathbb mathfrak mathscr boldsymbol boldmath unit si begin end item hline cline toprule
    midrule bottomrule multicolumn multirow section subsection subsubsection paragraph chapter caption
    centering includegraphics usepackage documentclass newcommand renewcommand def footnote color
    textcolor colorbox large small tiny huge normalsize scriptsize footnotesize href url verb colon
    semicolon percent dollar copyright pounds euro yen textdegree celsius ohm diff dd dv pdv norm abs
    qty vb bra ket
    """
)
"""Commands that formulas and documents have, in small letters."""

ENVIRONMENTS = _words(
    """
    equation align aligned alignat alignedat gather gathered multline split cases dcases array matrix
    pmatrix bmatrix bbmatrix vmatrix smallmatrix eqnarray displaymath math subequations itemize
    enumerate description tabular tabularx table figure center document abstract theorem lemma proof
    corollary definition remark example quote quotation verbatim minipage tikzpicture flalign
    """
)
"""What \\begin and \\end are of."""

TAGS = _words(
    """
    think thinking thought reasoning answer solution summary response output input question problem
    context tool call code a b i u s p q br hr em strong small big sub sup div span pre kbd mark del ins
    img h ul ol li dl dt dd table thead tbody tfoot tr td th caption col section article header footer
    main nav aside html head body title meta link script style form button label select option textarea
    details canvas svg path iframe figure font int integer long short float double bool boolean char
    byte string str object void none type list dict set map vector array iostream stdio cmath algorithm
    bits unk pad bos eos mask sep cls
    """
)
"""Names of tags, and of types and headers between the same brackets."""

SPECIAL = _words(
    """
    im start end of text endoftext begin sentence eot eom id header user assistant system special token
    think fim prefix middle suffix pad unk bos eos message channel return call
    """
)
"""Words of special tokens, `<|im_start|>`."""

CODE = _words(
    """
    and as assert async await break case catch class const continue def default del delete do elif else
    enum except export extends false final finally float for from func function global if implements
    import in include instanceof int interface is lambda let local namespace new nil none nonlocal not
    null or package pass print printf private protected public raise return select self static struct
    super switch template this throw true try type typedef typeof undefined using var void while with
    yield abs all any append array arg args bool char close count data dict dtype echo end enumerate
    exit file filter find format get grid hash heap index info init input insert isinstance item items
    join key keys last left len length line lines list log main map max mid min mod name next node num
    nums object open order output param pop pos pow push queue range read ref res result reverse right
    root round row rows set size slice sort sorted split stack start step str string strip sum table
    tail target temp text tmp top total tree tuple update url user val value values word words write zip
    apt bash brew cat cd chmod cmake conda cp create curl docker drop gcc git go grep java ls make mkdir
    mv npm pip python rm ruby run rust sh sql sudo touch where wget yarn group having limit
    """
)
"""Keywords, common names and commands: what code may say without being a sentence."""

PLAIN = _words(
    """
    so we the they them their these those our ours you your because therefore thus hence but although
    however would could cannot was were will she his him hmm maybe perhaps really actually again already
    very than what why don't doesn't isn't can't didn't won't let's that's it's we're
    """
)
"""Words of English sentences that no name in a program or formula is made of."""
