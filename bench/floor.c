/* The floor for the helper's time per call: a program that does nothing. */
int main(void)
{
    return 0;
}
