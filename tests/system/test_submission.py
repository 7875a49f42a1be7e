"""Members sending: ports 587 and 465."""
import base64
import smtplib

import pytest

from conftest import unverified

MESSAGE = "Subject: from a member\r\n\r\nbody\r\n"


def submission(server):
    smtp = server.smtp(587)
    smtp.starttls(context=unverified())
    smtp.ehlo()
    return smtp


def test_no_password_without_tls(server):
    with server.smtp(587) as smtp:
        smtp.ehlo()
        assert not smtp.has_extn("auth")
        assert smtp.docmd("AUTH", "PLAIN " + base64.b64encode(b"\0alice@example.test\0sandbox").decode())[0] == 538
        assert smtp.docmd("MAIL", "FROM:<alice@example.test>")[0] == 530


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_login_and_send(server, mechanism):
    smtp = submission(server)
    smtp.user, smtp.password = "alice@example.test", "sandbox"
    assert smtp.auth(mechanism, getattr(smtp, "auth_" + mechanism.lower()))[0] == 235
    smtp.sendmail("alice@example.test", ["bob@example.test"], MESSAGE)
    smtp.quit()
    text = server.messages("bob@example.test")[-1]
    assert b"with ESMTPSA" in text
    assert b"\nDate: " in text and b"\nMessage-ID: <" in text


def test_implicit_tls(server):
    with smtplib.SMTP_SSL("127.0.0.1", server.port(465), context=unverified(), timeout=60) as smtp:
        smtp.login("alice@example.test", "sandbox")
        smtp.sendmail("alice@example.test", ["carol@example.test"], MESSAGE)


def test_wrong_password(server):
    with submission(server) as smtp:
        with pytest.raises(smtplib.SMTPAuthenticationError) as error:
            smtp.login("alice@example.test", "wrong")
        assert error.value.smtp_code == 535
        assert smtp.docmd("MAIL", "FROM:<alice@example.test>")[0] == 530
    assert "sandbox" not in [w for line in server.log().splitlines() if "login" in line for w in line.split()]


def test_only_ones_own_sender(server):
    with submission(server) as smtp:
        smtp.login("alice@example.test", "sandbox")
        assert smtp.docmd("MAIL", "FROM:<bob@example.test>")[0] == 553
        assert smtp.docmd("MAIL", "FROM:<x@elsewhere.test>")[0] == 553
        assert smtp.docmd("MAIL", "FROM:<postmaster@example.test>")[0] == 250  # an alias of hers
        smtp.rset()
        assert smtp.docmd("MAIL", "FROM:<alice+list@example.test>")[0] == 250


def test_a_cancelled_exchange(server):
    with submission(server) as smtp:
        assert smtp.docmd("AUTH", "LOGIN")[0] == 334
        assert smtp.docmd("*")[0] == 501
        assert smtp.docmd("AUTH", "NONSENSE")[0] == 504
        assert smtp.docmd("AUTH", "PLAIN !!!")[0] == 501
        smtp.login("alice@example.test", "sandbox")
        assert smtp.docmd("AUTH", "PLAIN")[0] == 503
