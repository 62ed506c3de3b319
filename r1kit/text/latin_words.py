"""Common words of widespread Latin-script languages, by which they are told from each other.

A word that English has too ("die", "also", "on") speaks for both alike, so that it makes no English sentence
another language's.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ENGLISH = _words(
    """
    a about above after again against all almost already also always am among an and another answer any are
    as ask at away back be because been before being below between both but by calculate can cannot check
    compute correct could did divide do does done down each either else end equal equals even every false
    find finally first five for four from further get give given gives go good got had has have he hence her
    here hmm how however i if in instead into is it its just know last least left less let like look made
    make makes many maybe me means minus more most much multiply must my need neither never new next nine no
    none nor not nothing now number numbers of off oh ok okay on once one only or other our out over own
    part plus problem put question result right same say says second see seems seven she should show since
    six so solution solve some something step still subtract such sum take target ten than that the their
    them then there therefore these they thing think third this those three through thus time times to
    together too total true try twelve two under until up us use used using value verify very wait want was
    way we well were what when where whether which while who why will with without work works would write
    wrong yes yet you your zero don't doesn't isn't can't it's let's that's i'm we're won't didn't there's
    """
)
"""Frequent English words, with those of reasoning."""

_LISTS = {
    "de": """
        also danke aber alle alles als andere auf aus bei beide beiden beim bis bitte da dabei dadurch
        dafür damit dann daran daraus darf darum das dass davon dazu dein dem den denn der des deshalb
        dessen dich dies diese diesem diesen dieser dieses doch drei durch eben ein eine einem einen einer
        eines einmal er ergibt ergebnis erst erste es etwa etwas falsch fünf für ganz gegen gibt gilt
        gleich gleichung haben hat hätte hier ich ihm ihn ihr ihre immer ist ja jede jeder jetzt kann kein
        keine können lösung mache machen mehr mein mich mir mit moment muss müssen nach nein nicht nichts
        noch nun nur ob oder ohne rechnen rechnung richtig schon sehr sein seine sich sie sieben sind
        sollte somit sondern summe über überprüfen um und uns unser unter viel vielleicht vier vom von vor
        warte weil welche wenn werden wie wieder wir wird wo wurde zahl zahlen zehn zu zuerst zum zur
        zusammen zwei zwölf zwischen
    """,
    "fr": """
        oui merci ai alors après attends au aucun aussi autre aux avant avec avoir avons bien calcule
        calculons car ce cela celle celui ces cet cette ceux chaque cinq combien comme comment dans de
        depuis des deux dix doit donc dont douze du égal égale elle elles encore ensuite entre équation
        est et étape été être eux fait faire faut faux huit il ils je jusque la là le les leur lui mais
        même moi moins nombre nombres non notre nous on ont ou où par parce pas peut peuvent plus pour
        pourquoi premier première puis quand quatre que quel quelle qui quoi réponse résultat sa sans sept
        ses si soit somme sommes sont sous sur ta toujours tous tout toute toutes très trois trouver un
        une vérifions vers voici voilà votre vous vrai
    """,
    "es": """
        gracias hola ahora al algo alguien antes aquí así aunque bien cada cinco como cómo con correcto
        cual cuál cualquier cuando cuánto cuatro de debe del desde después diez doce donde dos ecuación el
        él ella ellos en entonces entre era es esa ese eso espera esta está estamos están este esto estos
        falso fue hacemos hacer hasta hay igual la las le les llamamos lo los luego más menos mi mientras
        mismo muy nada ni nos nosotros nueve número números nunca o ocho otra otro para paso pero podemos
        poner por porque primero probamos puede pues que qué queda quien quién respuesta restamos
        resultado sabemos se según segundo seis ser será si sí siempre siete sin sino sobre solo son su
        suma sumamos sus también tan tanto tenemos tener tiene tiene todo todos tres tu un una unos uno
        usamos vamos vale veces ver verdadero y ya yo
    """,
    "it": """
        grazie abbiamo adesso alla alle allora altro anche ancora aspetta attenzione che chi ci cinque
        circa come con controlla così cosa da dal dalla dei del della delle deve di dieci dobbiamo dodici
        dopo dove due è e ed equazione erano essere fa falso fare forse già gli ha hanno ho il invece io
        la le lei lo loro lui ma meno mentre mio molto moltiplichiamo nel nella nessuno noi nostro nove
        nulla numero numeri o ogni oppure ora ottenere otto per perché però più poi possiamo prima primo
        può qualche quale quando quanto quasi quattro quello questa questo quindi risposta risultato sarà
        se sei sempre senza sette si sia siamo sino solo somma sono sono sottraiamo su sua sul sulla suo
        tra tre troviamo tutti tutto un una uno uguale va vediamo vero verifica verifichiamo vuol
    """,
    "pt": """
        obrigado agora ainda algo alguém ao aos apenas aqui assim até cada calcular cinco com como correto
        da das de depois dez deve disso dois dos doze duas e é ela ele em então entre equação era essa
        esse esta está este eu falso faz fazer foi há igual isso isto já lado lados lhe logo mais mas me
        mesmo meu muito multiplicamos na não nas nem nenhum no nos nós nove número números nunca o oito
        onde os ou outra outro para passo pela pelo pode podemos pois por porque portanto precisamos
        primeiro qual quando quanto quatro que quem resposta resultado são se seis sem sempre ser será
        seria sete seu seus sim só sobre soma somamos sua subtraímos também tem temos ter três tudo um uma
        usando vai vamos verdadeiro verificar vez você
    """,
    "nl": """
        aan aantal alle alleen alles als andere antwoord beide bij daarna daarom dan dat de deel deze
        dezelfde dit doen door dus één een eens eerst eerste elk en er fout gaan gaat geen geeft gelijk
        getal getallen heb hebben heeft het hier hij hoe hun iets ik is ja je juist kan kijken klopt klopt
        kloppen komt kunnen laat maar maken meer met mijn min moet moeten na naar niet niets nog nu of om
        omdat onder ons onze ook op oplossing optellen over proberen som staat stap steeds tegen ten toch
        tot totaal trekken tussen twaalf twee uit uitkomst van vanuit veel vergelijking vermenigvuldigen
        vier vijf volgende voor vraag waar waarom waarde wacht want wat we weer welke werd wij wie wordt
        worden zal ze zes zeven zich zie zij zijn zo zonder zou zullen
    """,
    "pl": """
        ale albo aby bardzo będzie bez bo być był było by czy cztery ci co dla dlaczego dlatego dodajemy
        do dwa dwanaście dwie dziesięć gdy gdzie go ich ile i inne jak jaki jako jeden jednak jego jej
        jest jesteśmy jeszcze jeśli już każdy kiedy kto która które który ma mamy mnie może możemy mnożymy
        musi my na nad najpierw nam nas nie nic niż odejmujemy od odpowiedź oraz pięć po pod ponieważ
        potem poza przed przez przy równa równanie równe równy są sie się siedem sobie suma sześć tak
        także tam tego tej ten teraz też to trzy tu tutaj tylko tym więc wszystkie wszystko wynik wynosi w
        we z za zaczekaj zatem ze że zobaczmy żeby
    """,
    "sv": """
        alla allt andra att av bara blir båda både därför de den denna det detta dig du där då efter
        ekvationen eller en ett falskt fem finns fyra få får först första från för göra gör ha hade han
        har hur här i icke igen ihop inga ingen inte jag ju kan kontrollera kunde lika man med mellan men
        mer mig min mot mycket måste nej ni nu något några när och också om oss på resultatet rätt samma
        sedan sex sig sina sju ska skulle själv som stämma stämmer steg summan svar svaret så talen tar
        till tio tolv tre två under upp ut utan vad var varför varje vi vilken vänta vara vår vårt än är
        åtta över
    """,
    "tr": """
        ama ancak bana bazı ben beş bir biraz birlikte biz bu buldum buluruz bulalım bunlar bunu böyle
        bütün cevap çarp çıkar çok çünkü da daha de değil diye doğru dokuz dört eğer en eşit eşittir gibi
        gerek göre hadi hem hepsi her hesapla için iki ile ilk ise işlem kadar ki kontrol mı mi mu mü
        nasıl ne neden o olan olarak oldu olduğu olur on önce sadece sayı sayılar sekiz sen siz sonra
        sonuç şey şimdi şu tam toplam toplamı tüm üç var ve veya ya yanlış yani yapalım yedi yine yok
    """,
    "vi": """
        anh bao bạn bằng bây bị bốn các cách cái cần câu chia chỉ cho chúng chưa có con còn của cũng cùng
        đã đầu đây để đến điều đó được đúng em giờ hai hãy hay hết khi không kiểm là lại làm lần lấy lên
        mà mấy mỗi một mười nên nếu này năm ngày người nhân nhau nhiều như nhưng những phải phép qua ra
        rằng rồi sai sáu sau số ta tám thế thì theo thấy thử tìm tính tổng tôi trả trên trong trừ trước từ
        từng và vào vậy về vế vì với xem
    """,
    "id": """
        ada adalah agar akan aku anda angka antara apa apakah atau bagaimana bahwa baik banyak baru
        beberapa belas belum benar berapa bilangan bisa bukan dalam dan dapat dari dengan di dia dua dulu
        empat enam hanya harus hasil hasilnya hitung ini itu jadi jawaban jawabannya jika juga jumlah
        jumlahnya kali kalikan kalau kami kamu karena ke kedua kemudian kita kurangi lagi lain lalu
        langkah lebih lima maka mari masing masih mereka oleh pada paling periksa persamaan pertama saja
        salah sama sampai satu saya sebelum sebelas sekarang selalu semua sendiri seperti sepuluh setelah
        siapa sisi sudah supaya tambahkan tanpa telah tetapi tidak tiga tunggu tujuh untuk yaitu yang
    """,
    "cs": """
        aby ale ani ano asi až bez bude by byl byla bylo být co což další dva dvanáct dvě deset dostaneme
        do ho i jak jako jaký je jeden jeho její jejich jen ještě jestli ji jiný již jsem jsme jsou k kde
        kdo kdy kdyby když která které který má máme mezi mi mohou musí může můžeme my na nad nám nás ne
        nebo nejprve není nic o obou od odečteme odpověď on pak po počkej pod podle pokud pouze pro proč
        proto protože první před při přičteme rovná rovnice roven s se si správně stejný strana stran
        součet ta tady tak takže také tam tedy ten tento tím to toho třeba tři tu tuto ty u už v vás ve
        více však všechny výsledek vynásobíme z za zde ze znovu že čtyři šest sedm pět
    """,
    "ro": """
        acest această acum ai aici al ale am apoi ar are asta așa aștept atunci au avem că care ce cea cei
        cele cinci corect cu cum când da dacă de deci decât deoarece din doi doisprezece două după ea
        ecuația egal egală ei el este eu fără fi fie foarte hai îi în înainte încă îl înmulțim între însă
        la lui mai mult ne noi nu numere numărul o pe pentru poate prin prima primul răspunsul rezultatul
        sa să sau scădem se sunt suma șapte șase și și-au te toate trei tot un una unde unei unui va vom
        zece
    """,
    "hu": """
        a addig akkor ami amit annak aki át az azaz azért azt be bele csak de ebből egy egyenlet egyenlő
        el előbb először első én ennek és ez ezek ezért ezt fel ha hanem három hat hét hogy igen így is
        itt jó kell két kettő kivonjuk ki kilenc le lehet lesz meg mely mert még mi minden mindkét most
        mit már ne négy nem nincs nyolc oldal oldalak olyan ott öt össze összege pedig sem szám számok
        szorozzuk tehát tizenkettő több tíz után ugyanaz utána vagy vagyunk van várj volt válasz
    """,
    "fi": """
        ei eikä ellei ennen ensin ensimmäinen entä että he hän ja jo joka jokainen jolloin jonka jos joten
        kahden kahdeksan kaikki kaksi kaksitoista kanssa kerran kertaa kerromme koska kolme koko kuin
        kuinka kuitenkin kun kuusi kymmenen kyllä luku luvut lisäämme lopuksi me meidän mikä minä mitä
        molemmat molempien mukaan mutta myös neljä niin nyt odota ole olemme oli on oikein ovat pitää
        puolen puolten saadaan saamme sama sen se seitsemän siis sillä sitten sinä summa tai tarkistetaan
        tämä tässä tulos vaan vai vain vastaus vielä viisi voi voidaan voimme vähennämme väärin yhtä
        yhtälö yksi
    """,
    "da": """
        af alle altså at begge blev bliver da de dem den denne der deres derfor det dette dig du efter
        eller en er et fem fire først fra få får forkert gør giver han har hver hvis hvor hvorfor ikke ind
        jeg kan kun lad lig lige ligningen man med mellem men mere mig min må nej nogle nu når og også om
        op os otte over på resultatet rigtigt samme seks sig sider siden skal som summen svaret syv så tal
        tallene ti til to tolv tre trækker ud uden under vent var ved vi vil være åtte
    """,
}

_LETTERS = {
    "de": "äöüß",
    "fr": "àâçéèêëîïôùûüœ",
    "es": "áéíóúñü",
    "it": "àèéìòù",
    "pt": "áâãàçéêíóôõú",
    "nl": "ëéïó",
    "pl": "ąćęłńóśźż",
    "sv": "åäö",
    "tr": "çğıöşü",
    "vi": "ăâđêôơưàáảãạằắẳẵặầấẩẫậèéẻẽẹềếểễệìíỉĩịòóỏõọồốổỗộờớởỡợùúủũụừứửữựỳýỷỹỵ",
    "cs": "áčďéěíňóřšťúůýž",
    "ro": "ăâîșşțţ",
    "hu": "áéíóöőúüű",
    "fi": "äö",
    "da": "æøå",
    "pinyin": "āáǎàēéěèīíǐìōóǒòūúǔùǖǘǚǜ",
}

ALSO_ENGLISH = _words(
    """
    agar ah ai ale am ama an anda apa are as at ban bar be ben bent bin biz by car care chi cinder come
    comment con cum dal dam dan de den der dies dig din dire do dont door dos dove due elk em en er era est
    et fare fast fel fem fie fire fit for fort from gilt gods gore ha han har hat hay he hem her him hoe hun
    hut id ill in is it jen jest jo la lad le lo logo lot ma mai man mas me meg men met mi min moment moot
    most mot must my nad name nu numb od of om on ons or os over pace paling par past pe per pod point pot
    pour pro prima qua quasi re rest sa sale sans se sei sen sept set ska sex sig sin six so solo son sole
    sot steeds sum sup ta tal tam tan tar te ten test the tie till to tot tout tu tut un  under up ut
    vain van var vent via want war was we will ya an um me do si no com  hen  lag ju ni ki di da du
    es la  via
    """
)
"""Rarer words, abbreviations, names and words of code that a list below has too."""


def _told() -> dict[str, tuple[str, ...]]:
    told: dict[str, tuple[str, ...]] = {}
    for language, text in _LISTS.items():
        for word in sorted(_words(text)):
            told[word] = (*told.get(word, ()), language)
    return told


FOREIGN: dict[str, tuple[str, ...]] = _told()
"""Word -> the languages that it is a common word of."""

LETTERS: dict[str, tuple[str, ...]] = {
    letter: tuple(language for language, letters in _LETTERS.items() if letter in letters)
    for letter in sorted(set("".join(_LETTERS.values())))
}
"""Letter beyond A-Z -> the languages that use it."""

LANGUAGES = tuple(_LISTS)
"""The languages that have a list, besides English."""

SHAPES = {
    "en": r"(?:ing|ness|ful|less|[io]ght|ough|ould|ck|ly|sh|ther|ity|ies|ess|sis|[bd]le)$|^(?:[wts]h|kn|wr)",
    "de": r"(?:ung(?:en)?|liche?[nrs]?|[kh]eit|ieren|isch|icht|tzt|llt|ßt)$|^(?:zw|sch[lw])|tsch|sch[lmnw]",
    "fr": r"(?:eux|euse|ait|aient|eaux?|oir|ière|ois|ien|ez|tient|ilise)$|^(?:qu[aei])",
    "es": r"(?:[aei]mos|ando|iendo|ción|ciones|mente|idad|uevo|uadra)$|^(?:ll|hij)|ie[nr]t[aeo]",
    "it": r"(?:iamo|ando|endo|zione|zioni|mente|zza|etto|otte|cchio)$|gli|cch|zz[aoi]",
    "pt": r"(?:[aei]mos|ando|endo|indo|mente|idade|inho|eira)$|nh|lh[aeo]",
    "nl": r"ij|(?:heid|tjes?|eerd|acht|oord|uld)$|uu|aa[nrt]|ee[nr]t?$",
    "pl": r"(?:ego|emu|ych|ować|owej)$|sz|cz|rz|dzi",
    "tr": r"(?:ıyor|iyor|uyor|yoruz|mek|ması|mesi)$",
    "id": r"^(?:meng|peng|memb|memp|berh|berj)|nya$|ngkan$",
}
"""Language -> how many of its words look, and few of the others': a regular expression."""
