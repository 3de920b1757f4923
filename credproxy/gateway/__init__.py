"""The OCI distribution gateway: build actions get bytes, and no credential at all.

::

    asked      what arrived, as a value              wanted     which operation on which repository, or a refusal
    headers    what passes in each direction         errors     failures and upstream's refusals as OCI errors
    reference  URI references, in one spelling       redirect   where an answer may lead
    links      where a list goes on                  pages      queries of next pages that were handed out
    uploads    upload sessions                       existence  blobs that are known to be there
    authority  who decides, as a port                road       one request as a conversation
    resume     how a broken body goes on             blob       a body on its way to the client
    reads      pulling                               listed     bodies of lists
    writes     pushing                               memory     what bodies that are held whole may take
    gateway    the use case: begin there

Decides, and asks ports to move the bytes. Source: docs/design/clients.md#the-gateway, rules_img ``img_tool/pkg/serve/gateway``.
"""
