"""The OCI distribution gateway: build actions get bytes, and no credential at all.

::

    incoming          what arrived, as a value
    request_reader    from what arrived to what is wanted, or a refusal
    wanted            which operation on which repository
    headers           what passes in each direction
    oci_errors        failures and upstream's refusals as OCI errors
    uri_reference     URI references, in one spelling
    redirect          where a redirect may lead
    link_header       where the next page of a list is
    pagination        queries of next pages that were handed out
    uploads           upload sessions
    known_blobs       blobs that are known to exist
    authorizer        policy and credentials, as a port
    conversation      what a request needs on its way, and how it follows redirects
    upstream_request  one request as a conversation
    release_assets    the API's URL of a release asset of GitHub
    answer_fit        whether an answer belongs to the request
    resume            how a broken body is continued
    blob              a body on its way to the client
    reads             pulling
    listed            bodies of lists
    writes            pushing
    body_memory       memory for bodies that are held whole
    gateway           the use case: begin reading there

Decides, and asks ports to move the bytes. Source: docs/design/clients.md#the-gateway, rules_img ``img_tool/pkg/serve/gateway``.
"""
