"""The OCI distribution gateway: build actions get bytes, and no credential at all.

::

    asked     what arrived, as a value         wanted     which operation on which repository that is, or a refusal
    headers   what passes in each direction    errors     failures and upstream's refusals as OCI errors
    redirect  where an answer may lead         resume     how a broken body goes on
    uploads   upload sessions                  existence  blobs that are known to be there
    road      one request, authorised          blob       a body on its way to the client
    gateway   the use case: begin there

Decides, and asks ports to move the bytes. Source: clients.md section 3.4, rules_img ``img_tool/pkg/serve/gateway``.
"""
