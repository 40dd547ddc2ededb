// Starts Swagger UI on the document of this very Mooring. A file of its own: the page's policy allows no inline script.
window.addEventListener("load", () => {
  window.SwaggerUIBundle({
    url: "/openapi.json",
    dom_id: "#docs",
    deepLinking: true,
    // The first thing a reader needs is the list of what there is.
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    defaultModelExpandDepth: 2,
    displayRequestDuration: true,
    filter: true,
    // Nothing of this page is sent anywhere but to this Mooring; a key stays in this tab.
    validatorUrl: null,
    persistAuthorization: false,
    requestSnippetsEnabled: true,
  });
});
