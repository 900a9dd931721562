"""Who a token belongs to: what REST framework asks at every request, by a statement that is compiled once.

Apart from rlhf_site.api, because REST framework loads its authentication while its views are still loading.
"""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from rest_framework.authentication import TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed

from feedback.prepared import prepared


@prepared
def tokens(*, key: Any) -> QuerySet[Any]:
    from rest_framework.authtoken.models import Token

    return Token.objects.filter(key=key).select_related("user")


class PersonsToken(TokenAuthentication):
    def authenticate_credentials(self, key: str) -> tuple[Any, Any]:
        """Return the person and the token. Raises AuthenticationFailed, in REST framework's words."""
        token = tokens.first(key=key)
        if token is None:
            raise AuthenticationFailed(_("Invalid token."))
        if not token.user.is_active:
            raise AuthenticationFailed(_("User inactive or deleted."))
        return token.user, token
